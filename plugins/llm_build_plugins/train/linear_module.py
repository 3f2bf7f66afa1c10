"""Linear warm-up, then linear decay. Torch-free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins.train._warmup import count, descent, rise

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.train.linear_config import linear


class Linear:
    """`start` at step 0, 1 at step `warmup`, `floor` at the last step, where the warm-up leaves room for it."""

    def __init__(self, config: linear, context: Context) -> None:
        self.warmup = config.warmup
        self.start, self.floor = float(config.start), float(config.floor)

    def factor(self, step: int, steps: int) -> float:
        """What the peak learning rate is multiplied with at `step` (from 0) of `steps`."""
        warmup = count(self.warmup, steps)
        return rise(step, warmup, self.start) * (1 - (1 - self.floor) * descent(step, warmup, steps))
