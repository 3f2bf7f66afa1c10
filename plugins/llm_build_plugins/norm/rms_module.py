"""RMSNorm. Legend: D model dim."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.norm.rms_config import rms


class RMSNorm(nn.Module):
    """x [..., D] → [..., D]: x / sqrt(mean(x²) + eps) · w. Statistics are taken in float32 or wider."""

    def __init__(self, config: rms, context: Context) -> None:
        super().__init__()
        self.eps = config.eps
        self.offset = config.offset
        dim = context.need("dim")
        self.weight = nn.Parameter(torch.zeros(dim) if config.offset else torch.ones(dim))

    def initialise(self, draw: Callable[[Tensor], None]) -> None:
        nn.init.constant_(self.weight, 0.0 if self.offset else 1.0)

    def forward(self, x: Tensor) -> Tensor:
        weight = 1 + self.weight if self.offset else self.weight
        return nn.functional.rms_norm(x, weight.shape, weight, self.eps)
