"""Linear warm-up, then cosine decay. Torch-free."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llm_build_plugins.train._warmup import count, descent, rise

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.train.warmup_cosine_config import warmup_cosine


class WarmupCosine:
    """`start` at step 0, 1 at step `warmup`, `floor` at the last step, where the warm-up leaves room for it."""

    def __init__(self, config: warmup_cosine, context: Context) -> None:
        self.warmup = config.warmup
        self.start, self.floor = float(config.start), float(config.floor)

    def factor(self, step: int, steps: int) -> float:
        """What the peak learning rate is multiplied with at `step` (from 0) of `steps`."""
        warmup = count(self.warmup, steps)
        cosine = (1 + math.cos(math.pi * descent(step, warmup, steps))) / 2
        return rise(step, warmup, self.start) * (self.floor + (1 - self.floor) * cosine)
