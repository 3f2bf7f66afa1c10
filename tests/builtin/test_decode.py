"""The generator: every row is what it is alone and what full recomputation gives, and it ends where it should."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import GenerationError, Piece
from tests.laws import law
from tests.small import small_model, small_part, small_tokenizer

TOKENIZER = small_tokenizer()
# weights this large make the greedy token change from place to place
MODELS = [small_model(seed=seed, scale=30) for seed in range(3)]
PROMPTS = st.lists(st.text(alphabet="adefl(: \n", max_size=7), min_size=1, max_size=4)


def written(model: Any, prompts: list[str], sampler: str = "greedy", **options: Any) -> list[list[int]]:
    """The tokens of each row, without [eos]."""
    rows: list[list[int]] = [[] for _ in prompts]
    for piece in pieces(model, prompts, sampler, **options):
        if piece.token is not None and piece.finish != "eos":
            rows[piece.row].append(piece.token)
    return rows


def pieces(model: Any, prompts: list[str], sampler: str = "greedy", **options: Any) -> list[Piece]:
    generator = small_part("generate", sampler=sampler)
    return list(generator.generate(model, TOKENIZER, prompts, **options))


def recomputed(model: Any, prompt: str, max_new: int) -> list[int]:
    """Greedy tokens by running everything through the model again for each one."""
    tokens = TOKENIZER.encode(prompt) or [TOKENIZER.eos]
    start = len(tokens)
    with torch.no_grad():
        while len(tokens) - start < max_new and len(tokens) < model.context:
            logits = model(torch.tensor([tokens]))[0, -1]
            logits[TOKENIZER.pad] = float("-inf")
            if logits.argmax() == TOKENIZER.eos:
                break
            tokens.append(int(logits.argmax()))
    return tokens[start:]


@law
@given(st.sampled_from(MODELS), PROMPTS, st.integers(0, 12))
def test_each_row_is_what_it_is_alone_and_recomputed(model: Any, prompts: list[str], max_new: int) -> None:
    together = written(model, prompts, max_new=max_new)
    for prompt, row in zip(prompts, together, strict=True):
        assert row == recomputed(model, prompt, max_new)
        assert [row] == written(model, [prompt], max_new=max_new)


def test_the_models_of_that_law_write_more_than_one_token() -> None:
    assert all(len(set(written(model, ["def"], max_new=12)[0])) > 3 for model in MODELS)


@law
@given(st.sampled_from(MODELS), PROMPTS, st.integers(0, 100))
def test_drawn_rows_do_not_depend_on_their_neighbours(model: Any, prompts: list[str], seed: int) -> None:
    sampler = "top_p { p = 0.9, temperature = 2, repetition = 1.2 }"
    together = written(model, prompts, sampler, seed=seed)
    alone = [written(model, [prompt], sampler, seed=seed + row)[0] for row, prompt in enumerate(prompts)]
    assert together == alone


def test_seeds_repeat_and_differ() -> None:
    draws = [written(MODELS[0], ["def"], "temperature { temperature = 9 }", seed=seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_rows_stop_at_eos_each_by_itself() -> None:
    model = small_model(bias=True, tie=False)
    with torch.no_grad():
        model.head.bias.zero_()
        model.head.bias[TOKENIZER.eos] = 4.0  # a chance of about one in six
    prompts = ["a", "def", ""] * 3
    found = pieces(model, prompts, "temperature", max_new=12)
    ends = {each.row: each for each in found if each.finish}
    lengths = [sum(each.row == row and each.finish is None for each in found) for row in range(9)]
    assert sorted(ends) == list(range(9))
    assert len({lengths[row] for row in ends if ends[row].finish == "eos"}) > 2
    assert all(lengths[row] == 12 or ends[row].finish == "eos" for row in ends)
    for row, prompt in enumerate(prompts):
        own = [each for each in found if each.row == row]
        assert own[-1] is ends[row]
        tokens = [each.token for each in own if each.token is not None]
        assert prompt + "".join(each.text for each in own) == TOKENIZER.decode([*TOKENIZER.encode(prompt), *tokens])


def test_the_context_ends_a_text() -> None:
    prompt = "a" * 14
    found = pieces(MODELS[0], [prompt, "a" * 16], max_new=50)
    room = 16 - len(TOKENIZER.encode(prompt))
    assert sum(each.token is not None for each in found) == room > 0
    assert [(each.row, each.finish) for each in found if each.finish] == [(1, "length"), (0, "length")]


def test_a_prompt_longer_than_the_context_is_refused_at_once() -> None:
    generator = small_part("generate")
    with pytest.raises(GenerationError) as caught:
        generator.generate(MODELS[0], TOKENIZER, ["a", "a" * 17])
    assert (
        str(caught.value) == "prompt 2: a prompt must fit into the model's context of 16 tokens; 17 arrived: shorten it"
    )


def test_an_empty_prompt_begins_as_a_document_does() -> None:
    assert written(MODELS[0], [""], max_new=5) == [recomputed(MODELS[0], "", 5)]
    assert pieces(MODELS[0], []) == []


def test_pieces_come_as_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    hidden = MODELS[0].hidden

    def spy(*args: Any, **named: Any) -> Any:
        calls.append(args)
        return hidden(*args, **named)

    monkeypatch.setattr(MODELS[0], "hidden", spy)
    stream = small_part("generate").generate(MODELS[0], TOKENIZER, ["def"], max_new=5)
    assert calls == []
    next(stream)
    assert len(calls) == 1
    next(stream)
    # one new token a row and call after the prompt
    assert [each[0].shape[1] for each in calls] == [len(TOKENIZER.encode("def")), 1]


def test_only_the_last_row_goes_through_the_head() -> None:
    shapes = []
    handle = MODELS[0].head.register_forward_pre_hook(lambda _, args: shapes.append(args[0].shape))
    written(MODELS[0], ["def add", "a"], max_new=2)
    handle.remove()
    assert shapes == [(2, 16), (2, 16)]
