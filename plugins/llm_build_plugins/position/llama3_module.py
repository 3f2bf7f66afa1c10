"""Llama 3.1's scaling of rotary positions. Legend: R dimensions of a head that rotate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.position.llama3_config import llama3


class Llama3:
    """Pairs that turn rarely within the original context turn slower by the factor, the others less so or not."""

    amplitude = score_factor = 1.0

    def __init__(self, config: llama3, context: Context) -> None:
        self.factor, self.original = config.factor, config.original
        self.low, self.high = config.low, config.high

    def scaled(self, frequencies: Tensor, theta: float) -> Tensor:
        """frequencies [R / 2] → [R / 2]."""
        turns = self.original * frequencies / (2 * math.pi)
        kept = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return frequencies * (kept + (1 - kept) / self.factor)
