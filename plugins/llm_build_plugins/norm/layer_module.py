"""LayerNorm. Legend: D model dim."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.norm.layer_config import layer


class LayerNorm(nn.Module):
    """x [..., D] → [..., D]: (x - mean(x)) / sqrt(var(x) + eps) · w + b. Statistics are taken in float32 or wider."""

    def __init__(self, config: layer, context: Context) -> None:
        super().__init__()
        dim = context.need("dim")
        self.eps = config.eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim)) if config.bias else None

    def initialise(self, draw: Callable[[Tensor], None]) -> None:
        nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
