"""YaRN. Legend: R dimensions of a head that rotate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.position.yarn_config import yarn


class Yarn:
    """Slow pairs turn slower by the factor, fast ones as before, those between them by their number."""

    def __init__(self, config: yarn, context: Context) -> None:
        self.factor, self.original = config.factor, config.original
        self.fast, self.slow, self.truncate = config.beta_fast, config.beta_slow, config.truncate
        self.amplitude = self._grown(config.mscale) / self._grown(config.mscale_all)
        self.score_factor = self._grown(config.mscale_all) ** 2

    def scaled(self, frequencies: Tensor, theta: float) -> Tensor:
        """frequencies [R / 2] → [R / 2]; theta above 1, so that later pairs turn slower."""
        pairs = torch.arange(len(frequencies), device=frequencies.device, dtype=frequencies.dtype)
        first, last = self._bounds(2 * len(frequencies), theta)
        slowed = ((pairs - first) / (last - first)).clamp(0, 1)
        return frequencies * (1 - slowed + slowed / self.factor)

    def _bounds(self, rotated: int, theta: float) -> tuple[float, float]:
        """The last pair that turns as before and the first that slows by the factor, of `rotated` dimensions."""
        first, last = self._pair(self.fast, rotated, theta), self._pair(self.slow, rotated, theta)
        if self.truncate:
            first, last = math.floor(first), math.ceil(last)
        last = min(last, rotated - 1)
        first = min(max(first, 0), last)
        return first, last if last > first else last + 0.001

    def _pair(self, turns: float, rotated: int, theta: float) -> float:
        """The number of the pair that turns so many times within the original context."""
        return rotated * math.log(self.original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    def _grown(self, weight: float) -> float:
        return 1 + 0.1 * weight * math.log(self.factor)
