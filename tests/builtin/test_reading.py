"""Generation by a model that reads a source: every row is what it is alone and what full recomputation gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import Context, DataError, GenerationError, Piece, load, source_tokens
from llm_build.resolve import resolve
from llm_build.run.completion import complete, shown, usual_prompts
from llm_build_plugins import generate as parts
from tests.laws import law
from tests.paired import paired_model, paired_text
from tests.small import small_model

SPEC: Any = resolve(load(paired_text()), Context())
TOKENIZER = SPEC.part("tokenizer", Context())
TOKENIZER.fit(["abc"])
# weights this large make the greedy token change from place to place, and from source to source
MODELS = [paired_model(seed=seed, shared=seed < 2, tie=False) for seed in range(4)]
SOURCES = st.lists(st.text(alphabet="abé", min_size=1, max_size=5), min_size=1, max_size=4)


def written(model: Any, sources: list[str], sampler: Any = None, **options: Any) -> list[list[int]]:
    """The tokens of each row, without [eos]."""
    rows: list[list[int]] = [[] for _ in sources]
    for piece in pieces(model, sources, sampler, **options):
        if piece.token is not None and piece.finish != "eos":
            rows[piece.row].append(piece.token)
    return rows


def pieces(model: Any, sources: list[str], sampler: Any = None, **options: Any) -> list[Piece]:
    return list(decode(sampler).generate(model, TOKENIZER, sources, **options))


def decode(sampler: Any = None, **options: Any) -> Any:
    return parts.decode(sampler=sampler or parts.greedy(), **options).build(Context())


def recomputed(model: Any, source: str, max_new: int) -> list[int]:
    """Greedy tokens by encoding the source and running everything through the model again for each one."""
    tokens = [TOKENIZER.eos]
    with torch.no_grad():
        while len(tokens) <= max_new and len(tokens) < model.context:
            memory = model.encode(torch.tensor([source_tokens(source, TOKENIZER)]))
            logits = model(torch.tensor([tokens]), memory=memory)[0, -1]
            logits[TOKENIZER.pad] = float("-inf")
            if logits.argmax() == TOKENIZER.eos:
                break
            tokens.append(int(logits.argmax()))
    return tokens[1:]


@law
@given(st.sampled_from(MODELS), SOURCES, st.integers(0, 11))
def test_each_row_is_what_it_is_alone_and_recomputed(model: Any, sources: list[str], max_new: int) -> None:
    together = written(model, sources, max_new=max_new)
    for source, row in zip(sources, together, strict=True):
        assert row == recomputed(model, source, max_new)
        assert [row] == written(model, [source], max_new=max_new)


def test_the_models_of_that_law_write_what_depends_on_the_source() -> None:
    rows = [tuple(row) for model in MODELS for row in written(model, ["a", "ab", "éb"], max_new=8)]
    assert len(set(rows)) > 10
    assert sum(len(set(row)) > 2 for row in rows) > 6


@law
@given(st.sampled_from(MODELS), SOURCES, st.integers(0, 100))
def test_drawn_rows_do_not_depend_on_their_neighbours(model: Any, sources: list[str], seed: int) -> None:
    sampler = parts.top_p(p=0.9, temperature=2, repetition=1.2)
    together = written(model, sources, sampler, seed=seed)
    alone = [written(model, [source], sampler, seed=seed + row)[0] for row, source in enumerate(sources)]
    assert together == alone


def test_the_source_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = MODELS[0], []
    encode, hidden = model.encode, model.hidden

    def encoding(tokens: Any, count: Any) -> Any:
        calls.append(("encode", tokens.shape, count.tolist()))
        return encode(tokens, count)

    def writing(tokens: Any, state: Any, **options: Any) -> Any:
        calls.append(("hidden", tokens.shape, sorted(options)))
        return hidden(tokens, state, **options)

    monkeypatch.setattr(model, "encode", encoding)
    monkeypatch.setattr(model, "hidden", writing)
    found = pieces(model, ["a", "abc"], max_new=3)
    steps = max(sum(each.row == row and each.token is not None for each in found) for row in (0, 1))
    assert calls[0] == ("encode", (2, 4), [2, 4])
    assert calls[1] == ("hidden", (2, 1), ["count", "memory", "memory_count"])
    assert calls[2:] == [("hidden", (2, 1), ["count"])] * (steps - 1)
    assert steps > 1


def test_pieces_are_the_written_text_alone() -> None:
    model, sources = MODELS[0], ["a", "éb"]
    texts = complete(decode(), model, TOKENIZER, sources, max_new=6)
    assert texts == [TOKENIZER.decode(row) for row in written(model, sources, max_new=6)]
    assert shown(model, sources, texts) == [f"a → {texts[0]}", f"éb → {texts[1]}"]


def test_a_source_may_fill_the_context_and_no_more() -> None:
    model = MODELS[0]
    assert written(model, ["a" * 11], max_new=2) == [recomputed(model, "a" * 11, 2)]
    with pytest.raises(GenerationError) as caught:
        decode().generate(model, TOKENIZER, ["a", "a" * 12])
    assert str(caught.value) == (
        "prompt 2: a source must fit into the model's context of 12 tokens, [eos] included; 13 arrived: "
        "shorten the prompt"
    )


def test_the_context_ends_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    model = paired_model()
    monkeypatch.setattr(model, "head", Fifth())
    found = pieces(model, ["ab"], max_new=50)
    assert [each.token for each in found] == [5] * 11 + [None]
    assert found[-1].finish == "length"


class Fifth(torch.nn.Module):
    """A head that always wants token 5."""

    def forward(self, x: Any) -> Any:
        return torch.nn.functional.one_hot(torch.tensor(5), 258).expand(*x.shape[:-1], -1).to(x.dtype)


def test_an_empty_prompt_is_no_source() -> None:
    with pytest.raises(GenerationError, match=r"reads a source before it writes; an empty prompt arrived: give some"):
        decode().generate(MODELS[0], TOKENIZER, ["a", ""])
    assert pieces(MODELS[0], []) == []


def test_a_source_that_no_text_can_hold_is_refused() -> None:
    with pytest.raises(GenerationError, match="must be text that UTF-8 can hold"):
        decode().generate(MODELS[0], TOKENIZER, ["\udc80"])


def test_a_tokenizer_without_eos_cannot_end_a_source() -> None:
    text = paired_text().replace("vocab = 258", 'vocab = 258, special = ["[pad]"]')
    bare: Any = resolve(load(text), Context())
    tokenizer = bare.part("tokenizer", Context())
    tokenizer.fit(["abc"])
    with pytest.raises(DataError, match=r"need a tokenizer with \[eos\]"):
        decode().generate(MODELS[0], tokenizer, ["a"])


def test_where_nobody_says_the_spec_speaks_and_then_the_held_out_sources() -> None:
    sources = [f"s{number}" for number in range(10)]
    model = MODELS[0]
    assert usual_prompts(decode(), model, sources, 3) == ["s0", "s3", "s6"]
    assert usual_prompts(decode(), model, sources[:2], 4) == ["s0", "s0", "s1", "s1"]
    assert usual_prompts(decode(prompt="x"), model, sources, 2) == ["x", "x"]
    assert usual_prompts(decode(), small_model(), sources, 2) == ["", ""]
    assert usual_prompts(decode(), model, [], 1) == [""]


def test_the_mark_that_a_text_begins_with_is_no_repetition() -> None:
    model = paired_model()
    model.head.forward = lambda x: torch.where(torch.arange(258) == TOKENIZER.eos, 2.0, 1.9).expand(len(x), -1)
    (found,) = pieces(model, ["ab"], parts.top_k(k=1, repetition=3.0), max_new=4)
    assert (found.token, found.finish) == (TOKENIZER.eos, "eos")
