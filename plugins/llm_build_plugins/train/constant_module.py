"""Linear warm-up, then the peak. Torch-free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins.train._warmup import count, rise

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.train.constant_config import constant


class Constant:
    """`start` at step 0, 1 from step `warmup` on."""

    def __init__(self, config: constant, context: Context) -> None:
        self.warmup, self.start = config.warmup, float(config.start)

    def factor(self, step: int, steps: int) -> float:
        """What the peak learning rate is multiplied with at `step` (from 0) of `steps`."""
        return rise(step, count(self.warmup, steps), self.start)
