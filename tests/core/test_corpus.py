"""The corpus: a drawn order without memory, windows that lose nothing, and tokens that are made once."""

from __future__ import annotations

import lzma
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import DataError, Document
from llm_build.corpus import IGNORED, HeldOut, Windows, cache_folder, order, prepare, tokenised
from tests.laws import law
from tests.small import small_tokenizer


@law
@given(st.integers(1, 3_000), st.integers(0, 2**64), st.integers(0, 50))
def test_an_epoch_is_a_permutation(count: int, seed: int, epoch: int) -> None:
    found = order(seed, epoch, np.arange(count, dtype=np.uint64), count)
    assert sorted(found.tolist()) == list(range(count))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    index = np.arange(500, dtype=np.uint64)
    orders = {tuple(order(seed, epoch, index, 500).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_the_order_looks_drawn() -> None:
    """Neighbours are a third of the whole apart on the mean, as in a random permutation."""
    found = order(0, 0, np.arange(10_000, dtype=np.uint64), 10_000).astype(np.int64)
    assert abs(np.abs(np.diff(found)).mean() / 10_000 - 1 / 3) < 0.01


@law
@given(st.integers(2, 60), st.integers(1, 9), st.lists(st.integers(1, 7), min_size=1, max_size=8), st.integers(0, 9))
def test_batches_depend_on_the_position_alone(count: int, context: int, cuts: list[int], seed: int) -> None:
    if count <= context:
        return
    windows = Windows(np.arange(count, dtype=np.uint16), context, seed)
    position, parts = 0, []
    for rows in cuts:
        parts.append(windows.batch(position, rows).tokens)
        position += rows
    assert torch.equal(torch.cat(parts), windows.batch(0, position).tokens)


@law
@given(st.integers(2, 200), st.integers(1, 20), st.integers(0, 9))
def test_an_epoch_has_each_token_as_a_target_once(count: int, context: int, seed: int) -> None:
    if count <= context:
        return
    windows = Windows(np.arange(count, dtype=np.uint16), context, seed)
    batch = windows.batch(windows.count, windows.count)
    x, y = batch.tokens, batch.targets
    assert torch.equal(y, x + 1)
    targets = sorted(y.flatten().tolist())
    assert targets == list(range(1, 1 + windows.count * context))
    assert count - 1 - len(targets) < context


@law
@given(st.integers(2, 100), st.integers(1, 20), st.integers(1, 5))
def test_held_out_text_is_read_to_its_last_token(count: int, context: int, rows: int) -> None:
    held = HeldOut(np.arange(count, dtype=np.uint16), context, ["x"], 1)
    targets = torch.cat([each.targets.flatten() for each in held.batches(rows * context)])
    inputs = torch.cat([each.tokens.flatten() for each in held.batches(rows * context)])
    real = targets != IGNORED
    assert targets[real].tolist() == list(range(1, count))
    assert inputs[real].tolist() == list(range(count - 1))
    assert len(targets) == math.ceil((count - 1) / context) * context


def test_a_part_of_the_held_out_text_is_spread_evenly() -> None:
    held = HeldOut(np.arange(1_001, dtype=np.uint16), 10, ["x"], 1)
    starts = torch.cat([each.tokens[:, 0] for each in held.batches(3 * held.context, limit=4 * held.context)])
    assert starts.tolist() == [0, 250, 500, 750]


def test_xz_is_measured_on_the_same_bytes() -> None:
    texts = ["größer\n" * 50, "other\n"]
    raw = "".join(texts).encode()
    assert HeldOut(np.arange(3, dtype=np.uint16), 1, texts, 1).xz_bits() == 8 * len(lzma.compress(raw, preset=9)) / len(
        raw
    )


class Data:
    def __init__(self, training: Sequence[str], held_out: Sequence[str]) -> None:
        self.sides = [[Document(f"{index}", text) for index, text in enumerate(side)] for side in (training, held_out)]

    def split(self, progress: object) -> tuple[list[Document], list[Document]]:
        return self.sides[0], self.sides[1]


def test_documents_are_parted_by_eos_and_counted_in_bytes(tmp_path: Path) -> None:
    tokenizer = small_tokenizer()
    corpus = prepare(Data(["def add", "class Sum"], ["é", "x"]), tokenizer, 4, 0, tmp_path)
    eos = tokenizer.eos
    wanted = [eos, *tokenizer.encode("def add"), eos, *tokenizer.encode("class Sum"), eos]
    assert corpus.train.tokens.tolist() == wanted
    assert corpus.held_out.tokens.tolist() == [eos, *tokenizer.encode("é"), eos, *tokenizer.encode("x"), eos]
    assert corpus.held_out.size == 3


def test_the_tokenizer_never_sees_held_out_text(tmp_path: Path) -> None:
    from tests.small import small_part

    tokenizer = small_part("tokenizer")
    prepare(Data(["aa " * 200], ["zq " * 200]), tokenizer, 4, 0, tmp_path)
    assert len(tokenizer.encode("zq zq")) == 5
    assert len(tokenizer.encode("aa aa")) < 5


class Counting:
    """A tokenizer that counts how often it is asked to encode."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.asked = inner, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        self.asked += 1
        found: list[list[int]] = self.inner.encode_batch(texts)
        return found


def test_tokens_are_made_once(tmp_path: Path) -> None:
    tokenizer: Any = Counting(small_tokenizer())
    documents = [Document("a", "def"), Document("b", "add")]
    first = tokenised(documents, tokenizer, tmp_path)
    again = tokenised(documents, tokenizer, tmp_path)
    assert isinstance(again.base, np.memmap)
    assert tokenizer.asked == 1
    assert first.tolist() == again.tolist()
    tokenised([Document("a", "defadd")], tokenizer, tmp_path)
    assert tokenizer.asked == 2
    other = Counting(small_tokenizer())
    other.inner.inner.add_special_tokens(["[sep]"])
    tokenised(documents, other, tmp_path)
    assert other.asked == 1


def test_a_large_vocabulary_takes_four_bytes(tmp_path: Path) -> None:
    tokenizer: Any = Counting(small_tokenizer())
    tokenizer.vocab_size = 2**16
    assert tokenised([Document("a", "def")], tokenizer, tmp_path).dtype == np.uint16
    tokenizer.vocab_size = 2**16 + 1
    assert tokenised([Document("a", "def")], tokenizer, tmp_path).dtype == np.uint32


def test_a_tokenisation_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = small_tokenizer()
    monkeypatch.setattr(tokenizer, "encode_batch", lambda texts: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tokenised([Document("a", "def")], tokenizer, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"which cannot be written .* set LLM_BUILD_CACHE"):
        tokenised([Document("a", "def")], small_tokenizer(), tmp_path / "file" / "below")


def test_text_shorter_than_one_window_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must fill one window of context \+ 1 = 101 tokens; it has"):
        prepare(Data(["def"], ["x"]), small_tokenizer(), 100, 0, tmp_path)


def test_a_document_on_both_sides_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must not be trained on and held out too: 1"):
        prepare(Data(["def", "y"], ["x", "y"]), small_tokenizer(), 1, 0, tmp_path)


def test_where_tokens_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_BUILD_CACHE", "/own")
    assert cache_folder() == Path("/own")
    monkeypatch.delenv("LLM_BUILD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
    assert cache_folder() == Path("/shared/llm-build")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "llm-build"
