"""Sinusoidal positions. Legend: B rows, T positions, D model dim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_build_plugins.position._frequencies import WithFrequencies, turns

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.position.sinusoidal_config import sinusoidal


class Sinusoidal(WithFrequencies):
    """Adds sines and cosines of the place, interleaved. They are computed in float32 or wider, for any position."""

    def __init__(self, config: sinusoidal, context: Context) -> None:
        super().__init__()
        self.dim, self.theta = context.need("dim"), config.theta
        self.register_buffer("frequencies", self._frequencies(torch.empty(0)), persistent=False)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """x [B, T, D], positions [B, T] → [B, T, D]. The sum is rounded to the dtype of x, and nothing before it."""
        angles = positions[..., None] * self.frequencies  # [B, T, D / 2, rounded up]
        waves = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)
        return (x + waves[..., : self.dim]).to(x.dtype)

    def _frequencies(self, like: Tensor) -> Tensor:
        return turns(self.theta, self.dim, like)
