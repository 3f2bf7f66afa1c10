"""What is kept between calls, and requests that come from outside."""

from __future__ import annotations

import gc
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import pytest
import torch

from llm_build import GenerationError, Piece, PromptError, StateMemory
from llm_build.run import Compute, Run, RunDirectory
from llm_build_plugins.generate import _engine
from tests.small import small_model, small_part, small_tokenizer

TOKENIZER = small_tokenizer()
SAMPLER = "top_p { p = 0.9, temperature = 2 }"


@pytest.fixture
def model() -> Any:
    return small_model(scale=30)


@pytest.fixture
def writer() -> Any:
    return small_part("generate", sampler=SAMPLER)


def written(writer: Any, model: Any, *prompts: str, **options: Any) -> list[str]:
    rows = [""] * len(prompts)
    for piece in writer.generate(model, TOKENIZER, prompts, **options):
        rows[piece.row] += piece.text
    return rows


def text(pieces: Any) -> str:
    return "".join(each.text for each in pieces)


def test_a_second_call_writes_with_what_the_first_has_made(writer: Any, model: Any) -> None:
    first = written(writer, model, "def", "a")
    engine = writer.kept._engine
    assert written(writer, model, "def") == first[:1]
    assert written(writer, model, "def", "a") == first
    assert writer.kept._engine is engine


def test_a_larger_call_makes_another_and_what_was_there_is_gone_before(writer: Any, model: Any) -> None:
    gone: list[bool] = []
    written(writer, model, "a", max_new=2)
    before = weakref.ref(writer.kept._engine)
    make = _engine.make_state

    def making(*args: Any, **options: Any) -> Any:
        gone.append(before() is None)
        return make(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_engine, "make_state", making)
        written(writer, model, "a", max_new=9)
        written(writer, model, "a", "b", max_new=2)
    assert gone == [True, True]


def test_nothing_is_kept_of_a_model_that_is_gone_or_has_other_weights(writer: Any) -> None:
    model = small_model(scale=30)
    written(writer, model, "def")
    engine = weakref.ref(writer.kept._engine)
    with torch.no_grad():
        model.embedding.weight.mul_(-1)
    # without collecting: a GPU's memory does not wait for that
    gc.disable()
    assert written(writer, model, "def") == written(small_part("generate", sampler=SAMPLER), model, "def")
    assert engine() is None
    engine = weakref.ref(writer.kept._engine)
    gc.enable()
    del model
    gc.collect()
    assert engine() is None
    assert writer.kept._engine is None


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.train(),
        lambda model: model.head.register_forward_hook(lambda *_: None),
        lambda model: model.head.register_forward_pre_hook(lambda *_: None),
        lambda model: setattr(model.layers[0], "ffn", torch.nn.Sequential(model.layers[0].ffn)),
        lambda model: model.register_buffer("table", torch.zeros(1)),
    ],
)
def test_nothing_is_kept_of_a_model_that_does_other_things(writer: Any, model: Any, change: Any) -> None:
    """A graph would go on as it was recorded."""
    written(writer, model, "def", max_new=1)
    engine = writer.kept._engine
    change(model)
    written(writer, model, "def", max_new=1)
    assert writer.kept._engine is not engine


def test_after_a_fault_another_is_made(writer: Any, model: Any) -> None:
    expected = written(writer, model, "def")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer.kept._engine, "_land", lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            written(writer, model, "def")
    assert written(writer, model, "def") == expected


def test_two_calls_that_are_open_at_once_are_both_right(writer: Any, model: Any) -> None:
    """Of equal sizes they share what is there; a larger one has its own."""
    expected = [written(writer, model, "def", seed=1), written(writer, model, "a", seed=2)]
    larger = written(writer, model, "ab", "de", "f", seed=3)
    one = writer.generate(model, TOKENIZER, ["def"], seed=1)
    other = writer.generate(model, TOKENIZER, ["a"], seed=2)
    third = writer.generate(model, TOKENIZER, ["ab", "de", "f"], seed=3)
    begun = [next(each).text for each in (one, other, third, one)]
    rows = ["", "", ""]
    for piece in third:
        rows[piece.row] += piece.text
    rows[0] = begun[2] + rows[0]
    assert rows == larger
    assert [begun[0] + begun[3] + text(one), begun[1] + text(other)] == [each[0] for each in expected]


def test_a_length_below_0_is_refused(writer: Any, model: Any) -> None:
    with pytest.raises(GenerationError, match="max_new must be at least 0, the tokens that may follow; -1 arrived"):
        writer.generate(model, TOKENIZER, ["a"], max_new=-1)
    with pytest.raises(GenerationError, match="max_new must be at least 0, the tokens that may follow; -1 arrived"):
        writer.open(model, TOKENIZER, rows=1).submit("a", max_new=-1)


def test_all_prompts_that_are_too_long_are_named_at_once_and_alone_where_they_are_one(writer: Any, model: Any) -> None:
    why, long = "a prompt must fit into the model's context of 16 tokens; .* arrived: shorten it", "a " * 30
    with pytest.raises(PromptError, match=rf"^prompt 1: {why}\nprompt 3: {why}$") as caught:
        writer.generate(model, TOKENIZER, [long, "a", f"{long}a"])
    assert list(caught.value.faults) == [0, 2]
    for prompts in ([long], [long, long]):
        with pytest.raises(PromptError, match=f"^{why}$"):
            writer.generate(model, TOKENIZER, prompts)
    with pytest.raises(PromptError, match=r"prompt 6: .*\nand 2 prompts more$"):
        writer.generate(model, TOKENIZER, ["a", *[long] * 7])


def test_a_call_that_is_left_gives_its_rows_back(writer: Any, model: Any) -> None:
    expected = written(writer, model, "def", "a")
    left = writer.generate(model, TOKENIZER, ["def", "a"])
    next(left)
    left.close()
    assert not writer.kept._engine.step()
    assert written(writer, model, "def", "a") == expected
    assert writer.kept._engine._held == [None, None]


def test_inside_and_outside_of_inference_mode(writer: Any, model: Any) -> None:
    with torch.inference_mode():
        inside = written(writer, model, "def")
    assert written(writer, model, "def") == inside


# --- sessions ---


def test_streams_may_be_taken_in_any_order_and_are_what_each_is_alone(writer: Any, model: Any) -> None:
    alone = [written(writer, model, prompt, seed=seed)[0] for seed, prompt in enumerate(["def", "a", "ab"])]
    session = writer.open(model, TOKENIZER, rows=2)
    streams = [session.submit(prompt, seed=seed) for seed, prompt in enumerate(["def", "a", "ab"])]
    first = next(streams[2])
    assert isinstance(first, Piece)
    assert [text(each) for each in streams[:2]] == alone[:2]
    assert first.text + text(streams[2]) == alone[2]
    assert first.row == 2
    assert sum(each.token is not None for each in session.submit("a", seed=1, max_new=3)) == 3


def test_threads_may_submit_and_take_at_once(writer: Any, model: Any) -> None:
    prompts = ["def", "a", "ab", "de"]
    alone = [written(writer, model, prompt, seed=seed)[0] for seed, prompt in enumerate(prompts)]
    session, together = writer.open(model, TOKENIZER, rows=2), Barrier(len(prompts))

    def take(seed: int) -> str:
        together.wait()
        return text(session.submit(prompts[seed], seed=seed))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # they meet amidst a step
    try:
        with ThreadPoolExecutor(len(prompts)) as threads:
            assert list(threads.map(take, range(len(prompts)))) == alone
    finally:
        sys.setswitchinterval(before)


def test_after_a_fault_a_session_says_to_open_another(writer: Any, model: Any) -> None:
    session = writer.open(model, TOKENIZER, rows=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer.kept._engine, "_land", lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            text(session.submit("a"))
    with pytest.raises(GenerationError, match="broke this session off: open another"):
        session.submit("a")
    assert text(writer.open(model, TOKENIZER, rows=1).submit("a"))


@pytest.mark.parametrize("change", [lambda model: model.train(), lambda model: model.float()])
def test_a_session_of_a_model_that_changed_is_refused(writer: Any, model: Any, change: Any) -> None:
    session = writer.open(model, TOKENIZER, rows=1)
    assert text(session.submit("a"))
    change(model)
    with pytest.raises(GenerationError, match="have changed since: open another session"):
        session.submit("a")
    assert text(writer.open(model, TOKENIZER, rows=1).submit("a"))


def test_a_request_larger_than_the_session_is_refused_with_the_figures(writer: Any, model: Any) -> None:
    writer.open(model, TOKENIZER, rows=2)  # what is there may be larger than what is asked for
    session = writer.open(model, TOKENIZER, rows=1, capacity=6)
    with pytest.raises(GenerationError, match=r"into the 6 tokens .* 9 are asked for: .* capacity=9"):
        session.submit("a", max_new=8)
    assert len(list(session.submit("a", max_new=5))) >= 1


def test_a_prompt_of_another_vocabulary_is_refused_and_the_others_go_on(writer: Any, model: Any) -> None:
    session = writer.open(model, TOKENIZER, rows=2)
    other = session.submit("a", max_new=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(TOKENIZER), "encode", lambda *_: [1, model.vocab])
        with pytest.raises(GenerationError, match=rf"below the model's vocab of {model.vocab}; {model.vocab} arrived"):
            session.submit("def")
    assert sum(each.token is not None for each in other) == 3


def test_sizes_that_mean_nothing_are_refused(writer: Any, model: Any) -> None:
    session = writer.open(model, TOKENIZER, rows=1)
    for ask in (partial(session.submit, "a"), partial(writer.generate, model, TOKENIZER, ["a"])):
        with pytest.raises(GenerationError, match=r"max_new must be at least 0.*; -1 arrived"):
            ask(max_new=-1)
    for name, given in (("rows", 0), ("capacity", -2)):
        with pytest.raises(GenerationError, match=f"needs {name} of at least 1; {given} arrived"):
            writer.open(model, TOKENIZER, **{name: given})


def test_memory_is_known_before_it_is_taken_and_refused_where_it_is_not_there(
    writer: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = writer.open(model, TOKENIZER, rows=3, capacity=10)
    known, state = session.memory, writer.kept._engine.writing.state
    assert isinstance(known, StateMemory)
    assert known.state == state.nbytes + 3 * model.vocab
    assert known.weights == sum(each.nbytes for each in (*model.parameters(), *model.buffers()))
    assert str(known).startswith("3 texts of at most 10 tokens take 9.2 KiB on cpu, where ")
    # a smaller one is given what is there, which still takes all that
    smaller = writer.open(model, TOKENIZER, rows=1, capacity=5)
    assert smaller.memory == known
    writer.close()
    assert writer.open(model, TOKENIZER, rows=1, capacity=5).memory.sizes.rows == 1
    monkeypatch.setattr("llm_build.step.making.free_memory", lambda _: known.state)
    writer.close()
    writer.open(model, TOKENIZER, rows=3, capacity=10)
    monkeypatch.setattr(_engine, "make_state", None)
    with pytest.raises(GenerationError, match=r"must fit into the memory that is free: 4 texts .*generate.rows"):
        writer.open(model, TOKENIZER, rows=4, capacity=10)


def test_where_memory_is_short_fewer_texts_are_written_at_a_time_unless_their_number_was_asked_for(
    writer: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = written(writer, model, "def", "a", "ab")
    one = writer.open(model, TOKENIZER, rows=1).memory.state
    monkeypatch.setattr("llm_build.step.making.free_memory", lambda _: 3 * one)
    session = writer.open(model, TOKENIZER)
    assert (session.memory.sizes.rows, session.memory.sizes.capacity) == (2, 16)
    assert [
        text(each) for each in [session.submit(prompt, seed=seed) for seed, prompt in enumerate(("def", "a", "ab"))]
    ] == expected
    monkeypatch.setattr("llm_build.step.making.free_memory", lambda _: one)
    assert writer.open(model, TOKENIZER)._engine is session._engine
    with pytest.raises(GenerationError, match=r"about 1 texts at a time .*rows=1.*, or 2 tokens of each .*capacity=2"):
        writer.open(model, TOKENIZER, rows=8)
    monkeypatch.setattr("llm_build.step.making.free_memory", lambda _: one / 2)
    with pytest.raises(GenerationError, match=r"one text .* Write about 8 tokens of each .*capacity=8"):
        writer.open(model, TOKENIZER)


def test_a_run_takes_requests(writer: Any, model: Any, tmp_path: Any) -> None:
    compute, place = Compute.choose("cpu"), RunDirectory(tmp_path)
    run = Run(config=None, model=model, tokenizer=TOKENIZER, generator=writer, compute=compute, directory=place)
    streams = [run.submit("def", seed=-4), run.submit(seed=5, max_new=3)]
    assert ["def" + text(streams[0]), text(streams[1])] == [
        run.generate("def", seed=-4),
        run.generate(seed=5, max_new=3),
    ]

    class Batches:
        prompt = ""

    without = Run(config=None, model=model, tokenizer=TOKENIZER, generator=Batches(), compute=compute, directory=place)
    with pytest.raises(GenerationError, match="takes no requests as they come: --set generate=decode"):
        without.submit("a")
