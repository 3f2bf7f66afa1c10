"""Plain sampling. Legend: B rows, V vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from llm_build_plugins.generate._shared import sharpened

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.generate.temperature_config import temperature


class Temperature:
    """Leaves every token."""

    def __init__(self, config: temperature, context: Context) -> None:
        self.temperature, self.repetition = config.temperature, config.repetition

    def scores(self, logits: Tensor, seen: Tensor) -> Tensor:
        """logits and seen [B, V] → [B, V]."""
        return sharpened(logits, seen, self.repetition, self.temperature)
