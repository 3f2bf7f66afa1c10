"""The corpus of pairs: every token of every pair is there, nothing is cut, and nothing leaks."""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import DataError, Document, source_tokens
from llm_build.corpus import IGNORED, Batch, Corpus, prepare
from tests.laws import law
from tests.small import small_part, small_tokenizer

TOKENIZER = small_tokenizer()
EOS, PAD = TOKENIZER.eos, TOKENIZER.pad
WORD = st.text("abcé ", min_size=1, max_size=9)
PAIRS = st.lists(st.tuples(WORD, WORD), min_size=2, max_size=9, unique_by=lambda pair: pair[0])

Pair = tuple[str, str]


class Data:
    """Pairs that are split already."""

    def __init__(self, training: Sequence[Pair], held_out: Sequence[Pair]) -> None:
        self.sides = [
            [Document(f"{side}:{line}", target, source=source) for line, (source, target) in enumerate(pairs)]
            for side, pairs in (("train", training), ("held", held_out))
        ]

    def split(self, progress: object) -> Any:
        return self.sides


def corpus(folder: Path, training: Sequence[Pair], held_out: Sequence[Pair], context: int = 64) -> Corpus:
    return prepare(Data(training, held_out), TOKENIZER, context, 0, folder)


def pairs_of(batch: Batch) -> list[Pair]:
    """What a batch says, read back by its counts; everything about its shape and its filling is checked."""
    assert batch.source is not None
    (rows, width), depth = batch.tokens.shape, batch.source.shape[1]
    count = torch.full((rows,), width) if batch.count is None else batch.count
    source_count = torch.full((rows,), depth) if batch.source_count is None else batch.source_count
    assert (int(count.max()), int(source_count.max())) == (width, depth)
    found = []
    for row in range(rows):
        real, heard = int(count[row]), int(source_count[row])
        tokens, targets = batch.tokens[row].tolist(), batch.targets[row].tolist()
        source = batch.source[row].tolist()
        assert tokens[0] == EOS
        assert targets[real - 1] == source[heard - 1] == EOS
        assert tokens[1:real] == targets[: real - 1]
        assert set(tokens[real:]) | set(source[heard:]) <= {PAD}
        assert set(targets[real:]) <= {IGNORED}
        assert not {EOS, PAD, IGNORED} & {*targets[: real - 1], *source[: heard - 1]}
        found.append((TOKENIZER.decode(source[: heard - 1]), TOKENIZER.decode(targets[: real - 1])))
    return found


@law
@given(pairs=PAIRS, epoch=st.integers(0, 2))
def test_an_epoch_has_each_pair_once(pairs: list[Pair], epoch: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    made = corpus(tmp_path_factory.getbasetemp() / "pairs", pairs[1:], pairs[:1])
    assert made.paired
    assert made.train.count == len(pairs) - 1
    batch = made.train.batch(epoch * made.train.count, made.train.count)
    assert sorted(pairs_of(batch)) == sorted(pairs[1:])


@law
@given(pairs=PAIRS, cuts=st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_batches_depend_on_the_position_alone(
    pairs: list[Pair], cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = corpus(tmp_path_factory.getbasetemp() / "pairs", pairs[1:], pairs[:1])
    position, found = 0, []
    for rows in cuts:
        found += pairs_of(made.train.batch(position, rows))
        position += rows
    assert found == pairs_of(made.train.batch(0, position))


@law
@given(pairs=PAIRS, at_once=st.integers(1, 60))
def test_held_out_pairs_come_in_order_and_whole(
    pairs: list[Pair], at_once: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    held = corpus(tmp_path_factory.getbasetemp() / "pairs", pairs[:1], pairs[1:]).held_out
    batches = list(held.batches(at_once))
    assert [pair for batch in batches for pair in pairs_of(batch)] == pairs[1:]
    assert list(zip(held.sources, held.texts, strict=True)) == pairs[1:]
    assert sum(batch.counted() for batch in batches) == held.targets
    assert held.size == sum(len(target.encode()) for _, target in pairs[1:])
    for batch in batches:
        assert batch.source is not None
        assert len(batch.tokens) == 1 or batch.tokens.numel() + batch.source.numel() <= at_once


def test_batches_are_as_full_as_they_may_be(tmp_path: Path) -> None:
    made = corpus(tmp_path, [("q", "q")], [(letter, letter) for letter in "abcdefg"])
    assert [len(batch.tokens) for batch in made.held_out.batches(12)] == [3, 3, 1]


def test_a_part_of_the_held_out_pairs_is_spread_evenly(tmp_path: Path) -> None:
    made = corpus(tmp_path, [("q", "q")], [(letter, letter) for letter in "abcdefgh"])
    assert made.held_out.targets == 16
    picked = [source for batch in made.held_out.batches(1, limit=8) for source, _ in pairs_of(batch)]
    assert picked == ["a", "c", "e", "g"]
    assert len(list(made.held_out.batches(1, limit=1))) == 1
    assert len(list(made.held_out.batches(1, limit=999))) == 8


def test_pairs_of_one_length_need_no_counts(tmp_path: Path) -> None:
    made = corpus(tmp_path, [("ab", "b"), ("ba", "a")], [("q", "q")])
    batch = made.train.batch(0, 2)
    assert batch.count is None
    assert batch.source_count is None
    batch = corpus(tmp_path, [("ab", "b"), ("b", "a")], [("q", "q")]).train.batch(0, 2)
    assert batch.count is None
    assert batch.source_count is not None


def test_a_source_is_read_in_training_as_it_is_when_writing(tmp_path: Path) -> None:
    batch = corpus(tmp_path, [("def add", "x")], [("q", "q")]).train.batch(0, 1)
    assert batch.source is not None
    assert batch.source[0].tolist() == source_tokens("def add", TOKENIZER) == [*TOKENIZER.encode("def add"), EOS]


def test_pairs_are_tokenised_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = corpus(tmp_path, [("a", "b"), ("b", "c")], [("q", "q")])
    monkeypatch.setattr(TOKENIZER, "encode_batch", lambda texts: 1 / 0)
    again = corpus(tmp_path, [("a", "b"), ("b", "c")], [("q", "q")])
    assert pairs_of(again.train.batch(0, 4)) == pairs_of(first.train.batch(0, 4))
    assert isinstance(again.train.pairs.targets.tokens.base, np.memmap)


def test_the_tokenizer_learns_from_sources_and_targets_but_not_from_what_is_held_out(tmp_path: Path) -> None:
    tokenizer = small_part("tokenizer")
    pairs = [(f"aa aa {number}", f"bb bb {number}") for number in range(100)]
    held_out = [(f"cc cc {number}", f"dd dd {number}") for number in range(100)]
    prepare(Data(pairs, held_out), tokenizer, 64, 0, tmp_path)
    assert [len(tokenizer.encode(f"{letter} {letter}")) for letter in ("aa", "bb", "cc", "dd")] == [2, 2, 5, 5]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("a", "b"), ("c" * 8, "d")], "the source of train:1 is 9 tokens long: write context = 9 or more"),
        ([("a", "b"), ("c", "d" * 8)], "the target of train:1 is 9 tokens long: write context = 9 or more"),
        (
            [("a" * 9, "b"), ("c", "d" * 20), ("e" * 8, "f")],
            "the source of train:0 is 10 tokens long, and 2 more do not fit: write context = 21 or more",
        ),
    ],
)
def test_a_pair_longer_than_the_context_is_refused(tmp_path: Path, pairs: list[Pair], expected: str) -> None:
    with pytest.raises(DataError) as caught:
        corpus(tmp_path, pairs, [("q", "q")], context=8)
    assert "must each fit into the model's context of 8 tokens, [eos] included" in str(caught.value)
    assert expected in str(caught.value)


def test_a_pair_as_long_as_the_context_is_taken(tmp_path: Path) -> None:
    made = corpus(tmp_path, [("c" * 7, "d" * 7)], [("q", "q")], context=8)
    assert made.train.batch(0, 1).tokens.shape == (1, 8)


def test_a_held_out_pair_longer_than_the_context_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the target of held:0 is 9 tokens long"):
        corpus(tmp_path, [("a", "b")], [("q", "q" * 8)], context=8)


def test_a_tokenizer_without_eos_is_refused(tmp_path: Path) -> None:
    from llm_build import Context
    from llm_build_plugins.tokenizer import bpe

    tokenizer = bpe(vocab=257, special=["[pad]"]).build(Context())
    with pytest.raises(DataError, match=r'pairs need a tokenizer with \[eos\].* add "\[eos\]" to special'):
        prepare(Data([("a", "b")], [("q", "q")]), tokenizer, 8, 0, tmp_path)


def test_a_tokenizer_that_makes_eos_of_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = small_tokenizer()
    monkeypatch.setattr(tokenizer, "encode_batch", lambda texts: [[7, EOS, 7] for _ in texts])
    with pytest.raises(DataError, match=r"\[eos\] must stand in no text"):
        prepare(Data([("a", "b")], [("q", "q")]), tokenizer, 8, 0, tmp_path)


def test_the_same_source_on_both_sides_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must not be trained on and held out too: held:1"):
        corpus(tmp_path, [("a", "x"), ("b", "y")], [("c", "z"), ("b", "other")])


def test_the_same_target_on_both_sides_is_no_leak(tmp_path: Path) -> None:
    assert corpus(tmp_path, [("a", "x")], [("c", "x")]).held_out.texts == ["x"]


def test_pairs_beside_plain_text_are_refused(tmp_path: Path) -> None:
    data = Data([("a", "x")], [("c", "x")])
    data.sides[0].append(Document("plain.txt", "text"))
    with pytest.raises(DataError, match=r"either every document has a source or none has; plain\.txt has none"):
        prepare(data, TOKENIZER, 8, 0, tmp_path)


def test_held_out_targets_must_hold_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="held-out text must have a token to predict"):
        corpus(tmp_path, [("a", "x")], [("c", "")])


def test_plain_text_is_not_paired(tmp_path: Path) -> None:
    class Plain:
        def split(self, progress: object) -> Any:
            return [Document("a", "def add")], [Document("b", "class")]

    made = prepare(Plain(), TOKENIZER, 2, 0, tmp_path)
    assert not made.paired
    assert made.held_out.sources == ()


def test_xz_is_measured_on_the_targets(tmp_path: Path) -> None:
    made = corpus(tmp_path, [("q", "q")], [("a", "größer"), ("b", "other")])
    raw = "größerother".encode()
    assert made.held_out.xz_bits() == 8 * len(lzma.compress(raw, preset=9)) / len(raw)
