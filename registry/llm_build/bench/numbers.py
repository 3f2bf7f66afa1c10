"""Texts of random tokens, and the tokenizer that stands between them and a generator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from llm_build.bench.shapes import Shape
from llm_build.interfaces import reads_source


class Numbers:
    """A text is the numbers of its tokens, with spaces between them. No text ends before it is as long as it may be.

    A source ends with [eos], which a model that reads one must have: the last row of the vocabulary, which is no entry,
    so that it is never drawn.
    """

    def __init__(self, model: Any) -> None:
        source = reads_source(model)
        self.vocab_size: int = model.vocab - source
        self.eos: int | None = model.vocab - 1 if source else None
        self.pad: int | None = None

    def fit(self, texts: Iterable[str]) -> None:
        """There is nothing to learn."""

    def encode(self, text: str) -> list[int]:
        return [int(each) for each in text.split()]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(each) for each in texts]

    def decode(self, tokens: Sequence[int]) -> str:
        return " ".join(map(str, tokens))

    def save(self, path: Path) -> None:
        """There is nothing to keep."""

    def load(self, path: Path) -> None:
        """There is nothing to read."""

    def prompts(self, shape: Shape, seed: int) -> list[str]:
        """As many random prompts as the batch has rows; behind a source comes [eos]."""
        length = shape.prompt - (self.eos is not None)
        drawn = torch.randint(
            self.vocab_size, (shape.batch, length), generator=torch.Generator().manual_seed(seed)
        ).tolist()
        return [self.decode(each) for each in drawn]
