"""Linear warm-up, stable rate, decay. Torch-free."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llm_build_plugins.train._warmup import count, descent, rise

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.train.wsd_config import wsd


class WarmupStableDecay:
    """`start` at step 0, 1 from step `warmup` on, `floor` at the last step; where both meet, the lower of the two."""

    def __init__(self, config: wsd, context: Context) -> None:
        self.warmup, self.decay, self.linear = config.warmup, config.decay, config.shape == "linear"
        self.start, self.floor = float(config.start), float(config.floor)

    def factor(self, step: int, steps: int) -> float:
        """What the peak learning rate is multiplied with at `step` (from 0) of `steps`."""
        begin = steps - 1 - count(self.decay, steps)
        way = descent(step, begin, steps)
        fallen = 1 - (1 - self.floor) * (way if self.linear else math.sqrt(way))
        return min(rise(step, count(self.warmup, steps), self.start), fallen)
