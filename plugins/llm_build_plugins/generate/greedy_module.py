"""Greedy choice. Legend: B rows, V vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_build_plugins.generate._shared import NEVER, sharpened

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.generate.greedy_config import greedy


class Greedy:
    """Leaves the largest logit alone."""

    def __init__(self, config: greedy, context: Context) -> None:
        self.repetition = config.repetition

    def scores(self, logits: Tensor, seen: Tensor) -> Tensor:
        """logits and seen [B, V] → [B, V], 0 at the likeliest token and -inf elsewhere."""
        scores = sharpened(logits, seen, self.repetition, 1.0)
        best = scores.argmax(-1, keepdim=True)
        return torch.full_like(scores, NEVER).scatter(-1, best, 0.0)
