"""Pairs of a source and a target. Legend: N pairs, B rows, T tokens, M source tokens.

The decoder reads [eos] + target and predicts target + [eos]: it begins as a document does, and learns where to stop.
The encoder reads source + [eos], so that it sees where the source ends (Sutskever, Vinyals and Le 2014, section 2), and
so that a source has a token even where the tokenizer drops all it holds. Nothing is cut: a pair that is longer than the
context is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from llm_build.corpus.batch import Batch
from llm_build.corpus.examples import Example, collate, xz_bits
from llm_build.corpus.order import drawn
from llm_build.corpus.store import Tokens, tokenised
from llm_build.document import Document
from llm_build.errors import DataError
from llm_build.interfaces import Tokenizer


def source_tokens(text: str, tokenizer: Tokenizer) -> list[int]:
    """What an encoder reads of a source, in training and when it writes: its tokens, then [eos]. Raises `DataError`."""
    return [*tokenizer.encode(text), _eos(tokenizer)]


class Rows:
    """Texts of a token file one by one, each with the [eos] before it and after it."""

    def __init__(self, tokens: Tokens, eos: int) -> None:
        self.tokens = tokens
        self.starts: NDArray[np.int64] = np.flatnonzero(tokens == eos)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> Tokens:
        return self.tokens[self.starts[index] : self.starts[index + 1] + 1]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[N] tokens that a model reads of each: the text and one [eos]."""
        return np.diff(self.starts)


@attrs.frozen(eq=False)
class TokenPairs:
    """Tokenised pairs, read by their index. `fill` stands where a row of a batch has no token of its own."""

    sources: Rows
    targets: Rows
    fill: int

    @classmethod
    def make(cls, documents: Sequence[Document], tokenizer: Tokenizer, context: int, folder: Path) -> TokenPairs:
        """Tokenise documents that have a source, once. Raises `DataError` for one that does not fit into `context`."""
        sources = [Document(each.name, each.key) for each in documents]
        found = cls(_rows(sources, tokenizer, folder), _rows(documents, tokenizer, folder), tokenizer.pad or 0)
        _refuse_long(found, documents, context)
        return found

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> Example:
        return Example(row=self.targets[index], source=self.sources[index][1:])


class Pairs:
    """Training pairs in a drawn order, each once an epoch."""

    def __init__(self, pairs: TokenPairs, seed: int) -> None:
        self.pairs, self.seed, self.count = pairs, seed, len(pairs)

    def batch(self, position: int, rows: int) -> Batch:
        """The next `rows` pairs, where `position` pairs were read before; epochs follow each other."""
        return collate(self.draw(position, rows), self.pairs.fill)

    def draw(self, position: int, rows: int) -> Sequence[Example]:
        """The same pairs, one by one."""
        return [self.pairs[index] for index in drawn(self.seed, self.count, position, rows)]


@attrs.frozen(eq=False)
class HeldOutPairs:
    """Pairs that are never trained on, in their order. Every token of a target counts once, and so does its [eos]."""

    pairs: TokenPairs = attrs.field(repr=False)
    texts: Sequence[str] = attrs.field(repr=False)
    sources: Sequence[str] = attrs.field(repr=False)

    @property
    def targets(self) -> int:
        """How many tokens are predicted."""
        return int(self.pairs.targets.lengths.sum())

    @property
    def size(self) -> int:
        """The bytes of all targets."""
        return sum(len(each.encode()) for each in self.texts)

    def batches(self, at_once: int, limit: int | None = None) -> Iterator[Batch]:
        """All pairs, or as many as have about `limit` targets, spread evenly.

        A batch has about `at_once` tokens, sources and filling included.
        """
        count = len(self.pairs)
        wanted = count if limit is None else min(max(1, limit * count // self.targets), count)
        picked = [index * count // wanted for index in range(wanted)]
        for part in self._parts(picked, at_once):
            yield collate([self.pairs[index] for index in part], self.pairs.fill)

    def xz_bits(self) -> float:
        """Bits a byte that xz (preset 9) needs for the targets, one after the other; it is not shown the sources."""
        return xz_bits(self.texts)

    def _parts(self, picked: Sequence[int], at_once: int) -> Iterator[list[int]]:
        part: list[int] = []
        widths = np.zeros(2, dtype=np.int64)
        lengths = np.stack([self.pairs.sources.lengths, self.pairs.targets.lengths])
        for index in picked:
            wider = np.maximum(widths, lengths[:, index])
            if part and wider.sum() * (len(part) + 1) > at_once:
                yield part
                part, wider = [], lengths[:, index]
            part.append(index)
            widths = wider
        yield part


def _rows(documents: Sequence[Document], tokenizer: Tokenizer, folder: Path) -> Rows:
    eos = _eos(tokenizer)
    found = Rows(tokenised(documents, tokenizer, folder), eos)
    if len(found) != len(documents):
        raise DataError("[eos] must stand in no text; this tokenizer makes one of what a pair holds: take another")
    return found


def _eos(tokenizer: Tokenizer) -> int:
    if tokenizer.eos is None:
        raise DataError(
            'pairs need a tokenizer with [eos], which ends a source and a target; this one has none: add "[eos]" to '
            "special, or name the token of a pretrained one: eos = …"
        )
    return tokenizer.eos


def _refuse_long(pairs: TokenPairs, documents: Sequence[Document], context: int) -> None:
    longest = np.maximum(pairs.sources.lengths, pairs.targets.lengths)
    long = np.flatnonzero(longest > context)
    if len(long) == 0:
        return
    first = int(long[0])
    side = "source" if pairs.sources.lengths[first] > context else "target"
    others = f", and {len(long) - 1} more do not fit" if len(long) > 1 else ""
    raise DataError(
        f"the source and the target of a pair must each fit into the model's context of {context} tokens, [eos] "
        f"included; the {side} of {documents[first].name} is {longest[first]} tokens long{others}: write "
        f"context = {longest.max()} or more in the model, or take such pairs out"
    )
