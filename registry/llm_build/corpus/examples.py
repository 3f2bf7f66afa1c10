"""What a corpus is made of: examples to train on, text to measure on. Legend: B rows, T tokens, M source tokens, L ids.

An example is a row of L = T + 1 ids, whose inputs are all but the last and whose targets are all but the first; a pair
has the ids of its source beside it.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from llm_build.corpus.batch import IGNORED, Batch
from llm_build.corpus.store import Tokens


class Example(NamedTuple):
    """row [L] ids; source [M] ids, None for plain text."""

    row: Tokens
    source: Tokens | None = None


class Examples(Protocol):
    """What is trained on, in an order that depends on the position alone."""

    @property
    def count(self) -> int:
        """How many examples an epoch has."""

    def draw(self, position: int, rows: int) -> Sequence[Example]:
        """The next `rows` examples, where `position` examples were read before; epochs follow each other."""

    def batch(self, position: int, rows: int) -> Batch:
        """The same examples, ready for a model."""


class HeldOutText(Protocol):
    """What is measured on and never trained on, in its order."""

    @property
    def texts(self) -> Sequence[str]:
        """The documents that are predicted; the targets of pairs."""

    @property
    def sources(self) -> Sequence[str]:
        """What stands before each of `texts`; empty for plain text."""

    @property
    def targets(self) -> int:
        """How many tokens are predicted."""

    @property
    def size(self) -> int:
        """How many bytes of `texts` these stand for."""

    def batches(self, at_once: int, limit: int | None = None) -> Iterator[Batch]:
        """All of it, or about `limit` targets of it spread evenly, by batches of about `at_once` tokens."""

    def xz_bits(self) -> float:
        """Bits a byte that xz needs for `texts`."""


def collate(examples: Sequence[Example], fill: int = 0) -> Batch:
    """A batch of examples, each filled up to the longest with `fill`; counts only where that was needed."""
    tokens, count = padded([each.row[:-1] for each in examples], fill)
    targets, _ = padded([each.row[1:] for each in examples], IGNORED)
    sources = [each.source for each in examples if each.source is not None]
    if not sources:
        return Batch(tokens=tokens, targets=targets, count=count)
    source, source_count = padded(sources, fill)
    return Batch(tokens=tokens, targets=targets, count=count, source=source, source_count=source_count)


def padded(rows: Sequence[Tokens], fill: int) -> tuple[Tensor, Tensor | None]:
    """[B, T] int64 with the ids of each row first, and [B] how many they are; None where no row is filled up."""
    lengths = [len(each) for each in rows]
    found = np.full((len(rows), max(lengths)), fill, dtype=np.int64)
    for index, each in enumerate(rows):
        found[index, : len(each)] = each
    count = None if min(lengths) == max(lengths) else torch.tensor(lengths)
    return torch.from_numpy(found), count


def xz_bits(texts: Sequence[str]) -> float:
    """Bits a byte that xz (preset 9) needs for the texts, one after the other."""
    raw = "".join(texts).encode()
    return 8 * len(lzma.compress(raw, preset=9)) / len(raw)
