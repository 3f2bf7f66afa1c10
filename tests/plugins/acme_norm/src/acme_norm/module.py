"""ScaleNorm. Legend: D model dim."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from acme_norm import scale_norm
from llm_build import Context


class ScaleNorm(nn.Module):
    """x [..., D] → [..., D]: g · x / |x|."""

    def __init__(self, config: scale_norm, context: Context) -> None:
        super().__init__()
        self.eps = config.eps
        self.g = nn.Parameter(torch.tensor(float(context.need("dim")) ** 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.g * nn.functional.normalize(x, dim=-1, eps=self.eps)
