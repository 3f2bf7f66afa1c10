"""Linear warm-up, then decay with the inverse square root of the step. Torch-free."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llm_build_plugins.train._warmup import count, rise

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.train.inverse_sqrt_config import inverse_sqrt


class InverseSqrt:
    """`start` at step 0, 1 at step `warmup`, √(warmup / step) from there on."""

    def __init__(self, config: inverse_sqrt, context: Context) -> None:
        self.warmup, self.start = config.warmup, float(config.start)

    def factor(self, step: int, steps: int) -> float:
        """What the peak learning rate is multiplied with at `step` (from 0) of `steps`."""
        warmup = count(self.warmup, steps)
        if step < warmup:
            return rise(step, warmup, self.start)
        return math.sqrt(max(1, warmup) / max(1, step))
