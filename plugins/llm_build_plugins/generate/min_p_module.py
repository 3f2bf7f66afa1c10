"""Min-p sampling. Legend: B rows, V vocabulary."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from llm_build_plugins.generate._shared import NEVER, sharpened

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.generate.min_p_config import min_p


class MinP:
    """Leaves the tokens that are at least p times as likely as the likeliest."""

    def __init__(self, config: min_p, context: Context) -> None:
        self.p = config.p
        self.temperature, self.repetition = config.temperature, config.repetition

    def scores(self, logits: Tensor, seen: Tensor) -> Tensor:
        """logits and seen [B, V] → [B, V], -inf below the largest + ln p."""
        scores = sharpened(logits, seen, self.repetition, self.temperature)
        least = scores.amax(-1, keepdim=True) + math.log(self.p)
        return scores.masked_fill(scores < least, NEVER)
