"""Position interpolation. Legend: R dimensions of a head that rotate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.position.linear_config import linear


class Linear:
    """Every pair turns slower by the factor."""

    amplitude = score_factor = 1.0

    def __init__(self, config: linear, context: Context) -> None:
        self.factor = config.factor

    def scaled(self, frequencies: Tensor, theta: float) -> Tensor:
        """frequencies [R / 2] → [R / 2]."""
        return frequencies / self.factor
