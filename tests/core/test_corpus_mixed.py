"""Mixtures: the proportions are exact, every part is read in its own order, and the position says all."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import Context, DataError, Document, Share
from llm_build.corpus import Mixed, Windows, prepare
from llm_build.corpus.mixed import apportioned, leaves
from llm_build.interfaces import Data, Mixture
from llm_build_plugins.data import files
from tests.laws import law
from tests.small import small_tokenizer

WEIGHTS = st.lists(st.integers(1, 12), min_size=1, max_size=5)
FRACTIONS = st.lists(st.fractions(Fraction(1, 50), 3, max_denominator=50), min_size=1, max_size=4)
PART = 1_000
"""Every token of part n is at least n * PART."""


def parts(sizes: Sequence[int], context: int) -> list[Windows]:
    return [
        Windows(np.arange(PART * index, PART * index + size * context + 1, dtype=np.uint16), context, 0)
        for index, size in enumerate(sizes)
    ]


def mixed(sizes: Sequence[int], weights: Sequence[Fraction | int], context: int = 3) -> Mixed:
    return Mixed(parts(sizes, context), [Fraction(each) / sum(weights) for each in weights])


@law
@given(WEIGHTS, st.integers(0, 10**30))
def test_each_draw_goes_to_one_part(weights: list[int], position: int) -> None:
    for before, after in pairwise(apportioned(weights, position + draw) for draw in range(20)):
        assert sorted(high - low for low, high in zip(before, after, strict=True)) == [0] * (len(weights) - 1) + [1]
    assert sum(apportioned(weights, position)) == position


@law
@given(WEIGHTS, st.integers(0, 10**30), st.integers(0, 60))
def test_the_proportions_are_exact(weights: list[int], rounds: int, more: int) -> None:
    whole = sum(weights)
    assert apportioned(weights, rounds * whole) == [rounds * each for each in weights]
    for count, weight in zip(apportioned(weights, rounds * whole + more), weights, strict=True):
        assert abs(count - rounds * weight - Fraction(more * weight, whole)) <= Fraction(len(weights), 2)


def test_a_batch_has_every_part_in_proportion() -> None:
    batch = mixed([50, 50], [3, 1]).batch(0, 8)
    assert (batch.tokens[:, 0] // PART).tolist() == [0, 0, 1, 0, 0, 0, 1, 0]


@law
@given(FRACTIONS, st.data(), st.integers(1, 4))
def test_batches_depend_on_the_position_alone(weights: list[Fraction], data: Any, context: int) -> None:
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=len(weights), max_size=len(weights)))
    cuts = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=6))
    made = mixed(sizes, weights, context)
    position, found = 0, []
    for rows in cuts:
        found.append(made.batch(position, rows).tokens)
        position += rows
    assert torch.equal(torch.cat(found), made.batch(0, position).tokens)


@law
@given(FRACTIONS, st.data(), st.integers(0, 40))
def test_each_part_is_read_in_its_own_order_through_its_own_epochs(
    weights: list[Fraction], data: Any, position: int
) -> None:
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=len(weights), max_size=len(weights)))
    before, batch = mixed(sizes, weights).batch(0, position + 40), mixed(sizes, weights).batch(position, 40)
    assert torch.equal(before.targets[position:], batch.targets)
    for index, part in enumerate(parts(sizes, 3)):
        own = before.tokens[before.tokens[:, 0] // PART == index]
        assert torch.equal(own, part.batch(0, len(own)).tokens) if len(own) else True


def test_an_epoch_is_as_long_as_all_parts_together() -> None:
    assert mixed([7, 3, 1], [1, 1, 5]).count == 11


class Plain:
    """Data of plain text or of pairs, split already."""

    def __init__(self, name: str, training: Sequence[str], held_out: Sequence[str], paired: bool = False) -> None:
        self.asked = 0
        source = "source of {}".format if paired else lambda text: None
        self.sides = [
            [Document(f"{name}{number}", text, source(text)) for number, text in enumerate(side)]
            for side in (training, held_out)
        ]

    def documents(self, progress: object) -> list[Document]:
        return [each for side in self.sides for each in side]

    def split(self, progress: object) -> Any:
        self.asked += 1
        return self.sides


class Mix:
    """A mixture whose own documents and split are never wanted."""

    def __init__(self, parts: Sequence[Any], weights: Sequence[Any]) -> None:
        self.parts, self.weights = parts, weights

    def documents(self, progress: object) -> Any:
        raise AssertionError("the parts are read one by one")

    def split(self, progress: object) -> Any:
        raise AssertionError("the parts are split one by one")


def test_mixtures_inside_mixtures_multiply_their_shares() -> None:
    a, b, c = (Plain(name, ["x"], ["y"]) for name in "abc")
    inner = Mix([b, c], [Fraction(1, 10), Fraction(2, 10)])
    assert isinstance(inner, Mixture)
    assert isinstance(a, Data)
    assert not isinstance(a, Mixture)
    assert list(leaves(Mix([a, inner], [3, 1]))) == [
        (a, Fraction(3, 4)),
        (b, Fraction(1, 12)),
        (c, Fraction(2, 12)),
    ]


def test_the_corpus_of_a_mixture_draws_from_its_parts(tmp_path: Path) -> None:
    tokenizer = small_tokenizer()
    first = Plain("a", ["aaaa" * 9], ["first"])
    second = Plain("b", ["bbbb" * 9], ["second"])
    corpus = prepare(Mix([first, second], [1, 3]), tokenizer, 4, 0, tmp_path)
    texts = [tokenizer.decode(row) for row in corpus.train.batch(0, 12).tokens.tolist()]
    assert [text.count("a") > 0 for text in texts].count(True) == 3
    assert all(len(set(text)) == 1 for text in texts)
    assert corpus.held_out.texts == ["first", "second"]
    assert (first.asked, second.asked) == (1, 1)


def test_pairs_are_mixed_too(tmp_path: Path) -> None:
    tokenizer = small_tokenizer()
    first = Plain("a", ["a", "aa"], ["first"], paired=True)
    second = Plain("b", ["bbbb", "bbb"], ["second"], paired=True)
    corpus = prepare(Mix([first, second], [1, 1]), tokenizer, 64, 0, tmp_path)
    batch = corpus.train.batch(0, 4)
    assert corpus.paired
    assert batch.source is not None
    targets = {tokenizer.decode([each for each in row if each >= 0]) for row in batch.targets.tolist()}
    sources = {tokenizer.decode(row) for row in batch.source.tolist()}
    assert targets == {"a", "aa", "bbb", "bbbb"}
    assert sources == {f"source of {each}" for each in targets}
    assert corpus.held_out.sources == ["source of first", "source of second"]


def test_a_document_held_out_by_one_part_and_trained_on_by_another_is_refused(tmp_path: Path) -> None:
    data = Mix([Plain("a", ["one", "two"], ["three"]), Plain("b", ["three"], ["four"])], [1, 1])
    with pytest.raises(DataError, match="must not be trained on and held out too: a0"):
        prepare(data, small_tokenizer(), 1, 0, tmp_path)


SHARES = st.integers(1, 99).map(Share.percent)


@law
@given(share=SHARES, other=SHARES, alone=st.booleans())
def test_a_text_that_one_part_cuts_in_two_may_stand_in_no_other(
    share: Share, other: Share, alone: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines, folder = "".join(f"line {number}\n" for number in range(30)), tmp_path_factory.getbasetemp() / "leaks"
    folder.mkdir(exist_ok=True)
    for name, text in (("a.txt", lines), ("b.txt", lines[::-1])):
        (folder / name).write_text(text, encoding="utf-8")
    first = files(paths=[f"{folder}/a.txt"], held_out=share).build(Context())
    second = files(paths=[f"{folder}/{'a' if alone else '*'}.txt"], held_out=other).build(Context())
    prepare(Mix([first], [1]), small_tokenizer(), 1, 0, folder)
    for parts in ([first, second], [second, first]):
        with pytest.raises(DataError, match=r"must not be trained on and held out too: .*a\.txt"):
            prepare(Mix(parts, [1, 1]), small_tokenizer(), 1, 0, folder)


def test_a_part_shorter_than_one_window_is_named(tmp_path: Path) -> None:
    data = Mix([Plain("a", ["one" * 50], ["three"]), Plain("b", ["two"], ["four"])], [1, 1])
    with pytest.raises(DataError, match=r"part 2 of the mixture must fill one window of context \+ 1 = 31 tokens"):
        prepare(data, small_tokenizer(), 30, 0, tmp_path)
