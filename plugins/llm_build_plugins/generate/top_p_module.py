"""Top-p sampling. Legend: B rows, V vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from llm_build_plugins.generate._nucleus import nucleus
from llm_build_plugins.generate._shared import NEVER, sharpened

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.generate.top_p_config import top_p


class TopP:
    """Leaves the likeliest tokens, up to and with the one that crosses p."""

    def __init__(self, config: top_p, context: Context) -> None:
        self.p = config.p
        self.temperature, self.repetition = config.temperature, config.repetition

    def scores(self, logits: Tensor, seen: Tensor) -> Tensor:
        """logits and seen [B, V] → [B, V], -inf where the likelier tokens hold p already."""
        scores = sharpened(logits, seen, self.repetition, self.temperature)
        return scores.masked_fill(~nucleus(scores, self.p), NEVER)
