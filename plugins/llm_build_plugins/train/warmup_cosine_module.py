"""Linear warm-up, then cosine decay. Torch-free."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llm_build import Share

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
        warmup = self.warmup.of(steps) if isinstance(self.warmup, Share) else self.warmup
        if step < warmup:
            return self.start + (1 - self.start) * step / warmup
        way = (step - warmup) / max(1, steps - 1 - warmup)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * min(1.0, way))) / 2
