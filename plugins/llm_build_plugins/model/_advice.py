"""What models advise. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llm_build import Problem

LARGE = 256
"""Models narrower than this wait for a GPU's launches, not for its products: advice on those is for wider ones."""
TILE = 64
"""Rows of a table that a GPU multiplies at once."""


def ragged_vocab(config: Any) -> Iterator[Problem]:
    """A warning where the logits' product leaves a rest at its edge."""
    dim, vocab = config.dim, config.vocab
    if dim < LARGE or vocab % TILE == 0:
        return
    yield Problem(
        field="vocab",
        message=f"a GPU is fast where vocab is a multiple of {TILE}; {vocab:_} arrived",
        help=f"write vocab = {-(-vocab // TILE) * TILE:_}; rows beyond the tokenizer's entries are never written",
        severity="warning",
        code="W306",
    )
