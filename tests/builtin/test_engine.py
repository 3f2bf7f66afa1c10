"""Requests that come and go: each text is what it is alone, whoever has the other rows."""

from __future__ import annotations

import copy
import gc
from collections import deque
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.fx.experimental.proxy_tensor import make_fx

from llm_build import Context, GenerationError, Piece
from llm_build_plugins import generate
from llm_build_plugins.generate._engine import Engine
from llm_build_plugins.generate._groups import bucket, together
from llm_build_plugins.generate._noise import waits
from llm_build_plugins.generate._request import Parts, Request
from llm_build_plugins.generate._session import Stream
from llm_build_plugins.generate._session import together as pieces_of
from llm_build_plugins.generate._writing import Writing
from tests.builtin.caches import CACHES, caches
from tests.laws import law
from tests.small import small_model, small_part, small_tokenizer

TOKENIZER = small_tokenizer()
MODELS = [small_model(seed=0, scale=30), small_model(seed=1, scale=30, window=3), small_model(bias=True, tie=False)]
with torch.no_grad():
    MODELS[2].head.bias[TOKENIZER.eos] = 10.0  # some texts end before their length
SAMPLER = "top_p { p = 0.9, temperature = 2, repetition = 1.2 }"
WRITER = small_part("generate", sampler=SAMPLER)
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
PROMPTS = st.text(alphabet="adefl(: \n", min_size=1, max_size=9)


def engine(model: Any, rows: int, chunk: int = 16, cache: str = "dense-raw") -> Engine:
    layout = CACHES[cache].build(Context())
    return Engine(model, TOKENIZER, WRITER.sampler, layout, rows=rows, capacity=16, chunk=chunk)


def request(prompt: str, most: int, seed: int) -> Request:
    tokens = TOKENIZER.encode(prompt)
    return Request.of(TOKENIZER, 0, tokens, (), min(most, 16 - len(tokens)), seed)


def short_of_pages(rows: int, pages: int, page: int = 3, chunk: int = 16) -> Engine:
    layout = generate.paged(page=page, pages=pages).build(Context())
    return Engine(MODELS[0], TOKENIZER, WRITER.sampler, layout, rows=rows, capacity=16, chunk=chunk)


def alone(model: Any, cache: str, prompt: str, most: int, seed: int) -> list[int]:
    return tokens_of(submitted(model, engine(model, 1, cache=cache), request(prompt, most, seed)))


def submitted(model: Any, running: Engine, wanted: Request) -> Stream:
    running.submit(wanted)
    return Stream(model, running, wanted)


def tokens_of(pieces: Any) -> list[int]:
    return [each.token for each in pieces if each.token is not None]


@law
@given(
    st.sampled_from(MODELS),
    caches,
    st.lists(st.tuples(PROMPTS, st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=9),
    st.integers(1, 6),
    st.integers(1, 5),
    st.data(),
)
def test_each_text_is_what_it_is_alone(
    model: Any, cache: str, wanted: list[tuple[str, int, int]], rows: int, chunk: int, data: st.DataObject
) -> None:
    """Requests arrive and are dropped at any time, wait for a row, move to another, and are read in chunks.

    The host may look a step late, as it does on a GPU.
    """
    running, streams = engine(model, rows, chunk, cache), {}
    running._ahead = data.draw(st.integers(0, 1))
    for number, each in enumerate(wanted):
        streams[number] = submitted(model, running, request(*each))
        for _ in range(data.draw(st.integers(0, 4))):
            running.step()
        if data.draw(st.integers(0, 4)) == 0:
            del streams[data.draw(st.sampled_from(sorted(streams)))]
        if not streams:
            break
    found = {number: tokens_of(streams[number]) for number in data.draw(st.permutations(sorted(streams)))}
    assert found == {number: alone(model, cache, *wanted[number]) for number in found}
    assert all(streams[number]._request.launched <= streams[number]._request.most for number in found)
    while running.step():
        pass
    assert running._held == [None] * rows
    assert running.writing.state.lengths.tolist() == [0] * rows


@law
@given(
    st.lists(st.tuples(PROMPTS, st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(0, 3),
    st.data(),
)
def test_with_few_pages_texts_wait_and_are_what_they_are_alone(
    wanted: list[tuple[str, int, int]], page: int, chunk: int, more: int, data: st.DataObject
) -> None:
    """There are pages for the longest of them and a few more: they never run out amidst a step."""
    made = [request(*each) for each in wanted]
    running = short_of_pages(3, more + max(-(-max(each.longest, 1) // page) for each in made), page, chunk)
    running._ahead = data.draw(st.integers(0, 1))
    streams = [submitted(MODELS[0], running, each) for each in made]
    if data.draw(st.booleans()):
        running.step()
        streams[data.draw(st.integers(0, len(streams) - 1))].close()
    found = {number: tokens_of(each) for number, each in enumerate(streams) if not each._request.done}
    assert found == {number: alone(MODELS[0], "dense-raw", *wanted[number]) for number in found}


def test_who_waits_for_pages_is_not_overtaken() -> None:
    """Three of four pages are promised; the next needs two, and the last, for which there is one, waits behind it."""
    running = short_of_pages(3, pages=4)
    first, second, third = (request("a", most, seed=0) for most in (8, 4, 3))
    streams = [submitted(MODELS[0], running, each) for each in (first, second, third)]
    running.step()
    assert [-(-each.longest // 3) for each in (first, second, third)] == [3, 2, 1]
    assert [each.row is None for each in (first, second, third)] == [False, True, True]
    assert [len(tokens_of(each)) for each in streams] == [8, 4, 3]


def test_what_can_never_have_its_pages_is_refused_with_the_figures() -> None:
    running = short_of_pages(2, pages=2)
    stream = submitted(MODELS[0], running, request("a", 6, 0))
    with pytest.raises(GenerationError, match=r"7 tokens take 3 pages of 3, and the cache has 2: .*cache.pages=3\)"):
        running.submit(request("a", 7, 0))
    assert len(tokens_of(stream)) == 6


def test_rows_in_use_are_the_first_and_a_step_takes_the_bucket_that_holds_them() -> None:
    """Two of six texts go on behind the others: they move to the front, and a step takes two rows."""
    running, shapes = engine(MODELS[0], 6), []
    handle = MODELS[0].head.register_forward_pre_hook(lambda _, args: shapes.append(len(args[0])))
    streams = [submitted(MODELS[0], running, request("a", most, seed=9)) for most in (2, 2, 2, 2, 6, 6)]
    found = [tokens_of(each) for each in streams]
    handle.remove()
    assert shapes == [6, 6, 2, 2, 2, 2]
    assert found == [alone(MODELS[0], "dense-raw", "a", most, 9) for most in (2, 2, 2, 2, 6, 6)]
    assert [bucket(rows, 200) for rows in (1, 3, 33, 65, 97, 129, 193)] == [1, 4, 64, 96, 128, 192, 200]


def replayed(part: Writing) -> Any:
    """The operations of a step, recorded once for each length in use and done again on the same storage ever after."""
    recorded: dict[int, Any] = {}

    def step(counts: list[int]) -> None:
        part.state.reserve(counts)
        if part.state.span in recorded:
            recorded[part.state.span]()
        else:
            recorded[part.state.span] = make_fx(lambda: part.step())()  # noqa: PLW0108 (of a method it would take `self` for an input)

    return step


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["dense-raw", "paged-raw"])
def test_a_step_that_is_replayed_is_never_stale(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a graph does, on a CPU: what a step does is recorded once, and rows come, move and leave."""
    running = engine(MODELS[1], 3, cache=cache)
    monkeypatch.setattr(running, "_step_of", replayed)
    wanted = [("a", 2, 0), ("de", 9, 1), ("f", 5, 2), ("def", 4, 3), ("l", 6, 4)]
    found = [tokens_of(each) for each in [submitted(MODELS[1], running, request(*each)) for each in wanted]]
    assert found == [alone(MODELS[1], cache, *each) for each in wanted]


def test_prompts_that_come_together_are_read_together_and_alone() -> None:
    """Beside a text that is being written: its row is not in their call, and none of theirs is padding."""
    running, calls = engine(MODELS[0], 8), []
    going = submitted(MODELS[0], running, request("a", 9, seed=0))
    next(going)
    hidden = MODELS[0].hidden

    def spy(tokens: Any, state: Any, *, count: Any, **rest: Any) -> Any:
        calls.append((tuple(tokens.shape), count is None))
        return hidden(tokens, state, count=count, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODELS[0], "hidden", spy)
        joining = [submitted(MODELS[0], running, request("de", 2, seed)) for seed in range(2)]
        next(joining[0])
        running.step()
    length = len(TOKENIZER.encode("de"))
    # they take turns with the text that is there already
    assert calls == [((1, 1), False), ((2, length), True), ((4, 1), False)]


def test_long_prompts_and_texts_take_turns() -> None:
    running, calls = engine(MODELS[0], 2, chunk=2), []
    handle = MODELS[0].embedding.register_forward_pre_hook(lambda _, args: calls.append(args[0].shape[1]))
    texts = [submitted(MODELS[0], running, request(prompt, 8, 0)) for prompt in ("a", "aeaeae")]
    for _ in range(6):
        running.step()
    handle.remove()
    assert calls == [2, 1, 2, 1, 2, 1]
    assert all(not each._request.done for each in texts)


@law
@given(st.lists(st.integers(1, 3_000), min_size=1, max_size=40), st.integers(1, 2_048))
def test_a_call_reads_as_many_prompts_as_are_worth_it(lengths: list[int], chunk: int) -> None:
    taken = together(sorted(lengths), chunk)
    fed = [min(each, chunk) for each in sorted(lengths)[:taken]]
    total = max(fed) * taken
    assert 1 <= taken <= len(lengths)
    assert taken == 1 or (total <= 4 * chunk and (total <= 256 or sum(fed) >= total * 3 / 4))


def test_what_is_dropped_gives_its_row_to_who_waits() -> None:
    running = engine(MODELS[0], 1)
    first, second, third = (submitted(MODELS[0], running, request("a", 9, seed)) for seed in range(3))
    next(first)
    begun = first._request
    second.close()
    del first
    assert len(tokens_of(third)) == 9
    assert (begun.taken, list(second)) == (1, [])


def test_after_a_fault_amidst_a_step_nothing_is_written_with_what_is_left() -> None:
    running = engine(MODELS[0], 2)
    stream = submitted(MODELS[0], running, request("a", 9, 0))
    next(stream)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "_land", lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            next(stream)
    with pytest.raises(GenerationError, match="broken off by an earlier fault"):
        next(stream)


def test_a_text_that_nobody_writes_is_not_waited_for() -> None:
    running, forgotten, queue = engine(MODELS[0], 1), request("a", 9, 0), deque[Parts]()
    running.submit = lambda _: None  # type: ignore[method-assign]
    for waiting in (Stream(MODELS[0], running, forgotten), pieces_of(MODELS[0], running, [forgotten], queue)):
        with pytest.raises(GenerationError, match="that nobody writes: submit it first"):
            next(waiting)


def test_a_stream_gives_each_piece_as_soon_as_it_is_there() -> None:
    running = engine(MODELS[0], 2)
    first, second = (submitted(MODELS[0], running, request("def", 5, seed)) for seed in (1, 2))
    one = next(first)
    assert isinstance(one, Piece)
    # the other came along with it
    assert running._held[1] is not None
    assert running._held[1].taken == 1
    assert len(tokens_of(second)) == len(tokens_of([one, *first])) == 5


def test_a_row_that_is_free_is_given_to_who_waits() -> None:
    running = engine(MODELS[0], 1)
    streams = [submitted(MODELS[0], running, request("a", 2, seed)) for seed in range(3)]
    assert len(tokens_of(streams[2])) == 2
    assert [len(tokens_of(each)) for each in streams[:2]] == [2, 2]


def test_a_text_that_ends_while_the_host_is_a_step_late_ends_once() -> None:
    running, wanted = engine(MODELS[2], 3), [("a", 9, seed) for seed in range(10)]
    running._ahead = 1
    streams = [submitted(MODELS[2], running, request(*each)) for each in wanted]
    while running.step():
        pass
    found = [tokens_of(each) for each in streams]
    assert found == [alone(MODELS[2], "dense-raw", *each) for each in wanted]
    assert TOKENIZER.eos in {each[-1] for each in found}


@pytest.mark.parametrize("rows", [1, 3])
def test_a_request_for_nothing_is_done_at_once(rows: int) -> None:
    (last,) = submitted(MODELS[0], engine(MODELS[0], rows), request("def", 0, 0))
    assert (last.finish, last.token) == ("length", None)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)])
def test_ten_thousand_steps_of_mixed_requests_take_no_more_memory_than_the_first(device: str) -> None:
    """On the device everything is allocated once; on the host, what is done is forgotten."""
    model = copy.deepcopy(MODELS[0]).to(device, torch.float64 if device == "cpu" else torch.float32)
    model.layers = model.layers[:1]  # each keeps what the others keep
    running, seed, before = engine(model, 3), 0, (0, 0)
    for step in range(10_000):
        if sum(each is not None for each in running._held) + len(running._waiting) < 4:
            running.submit(request("def add"[: 1 + seed % 7], 1 + seed % 8, seed))
            seed += 1
        running.step()
        if step == 500:
            before = held(device)
    objects, taken = held(device)
    assert objects < before[0] + 200
    # what one step happens to hold differs by some blocks; a block a step would be megabytes
    assert taken < before[1] + 2**16


def held(device: str) -> tuple[int, int]:
    """How many objects there are on the host, and the bytes of tensors on a GPU."""
    gc.collect()
    return len(gc.get_objects()), torch.cuda.memory_allocated() if device == "cuda" else 0


# --- chance ---


def test_chance_is_splitmix64() -> None:
    """Against the reference in Python's own whole numbers."""

    def mixed(key: int) -> int:
        key = (key + 0x9E3779B97F4A7C15) % 2**64
        key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        key = (key ^ (key >> 27)) * 0x94D049BB133111EB % 2**64
        return key ^ (key >> 31)

    seeds, drawn = [0, 7, 2**63 - 1, -3], [0, 1, 2, 50]
    found = waits(torch.tensor(seeds), torch.tensor(drawn), torch.arange(5))
    for row, (seed, count) in enumerate(zip(seeds, drawn, strict=True)):
        key = mixed((mixed(seed % 2**64) + count) % 2**64)
        uniform = torch.tensor([(mixed((key + token) % 2**64) % 2**63) * 2.0**-63 for token in range(5)])
        torch.testing.assert_close(found[row], -torch.log1p(-uniform), rtol=1e-5, atol=1e-7)


def test_waits_are_exponential_and_independent() -> None:
    found = waits(torch.arange(300), torch.zeros(300, dtype=torch.int64), torch.arange(2_000)).double()
    count = found.numel()
    for moment, expected in ((1, 1.0), (2, 2.0), (3, 6.0)):
        deviation = float((found**moment).std()) / count**0.5
        assert abs(float((found**moment).mean()) - expected) < 6 * deviation
    for one, other in ((found[:-1], found[1:]), (found[:, :-1], found[:, 1:])):
        assert abs(float(((one - 1) * (other - 1)).mean())) < 6 / count**0.5


@law
@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**40), st.lists(st.integers(0, 2**20), min_size=1, max_size=5))
def test_the_chance_of_a_token_does_not_depend_on_the_others(seed: int, drawn: int, tokens: list[int]) -> None:
    seeds, counts = torch.tensor([seed]), torch.tensor([drawn])
    together = waits(seeds, counts, torch.tensor(tokens))
    for index, token in enumerate(tokens):
        assert torch.equal(together[:, index], waits(seeds, counts, torch.tensor([token]))[:, 0])
    assert bool((together >= 0).all())
