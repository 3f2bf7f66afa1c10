"""Rotary positions. Legend: B rows, T positions, H heads, E head dim, R dimensions of a head that rotate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_build import HAS_TRITON, is_traced
from llm_build_plugins.position._frequencies import WithFrequencies, turns

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.position.rope_config import rope

KERNEL = (torch.bfloat16, torch.float16, torch.float32)


class RoPE(WithFrequencies):
    """Turns queries and keys by their place in time. The angles are computed in float32 or wider, for any position."""

    def __init__(self, config: rope, context: Context) -> None:
        super().__init__()
        self.head_dim = context.need("head_dim")
        self.rotated = config.rotated(self.head_dim)
        self.theta = config.theta
        self.interleaved = config.interleaved
        self.scaling = config.part("scaling", context)
        self.amplitude: float = getattr(self.scaling, "amplitude", 1.0)
        self.score_factor: float = getattr(self.scaling, "score_factor", 1.0)
        self.register_buffer("frequencies", self._frequencies(torch.empty(0)), persistent=False)

    def rotate(self, x: Tensor, positions: Tensor) -> Tensor:
        """x [B, T, H, E], positions [B, T] → [B, T, H, E]."""
        if self._is_one_launch(x):
            from llm_build_plugins.position._rotate_kernel import rotate

            return rotate(x, positions, self.frequencies, self.amplitude, self.interleaved)
        angles = positions[..., None, None] * self.frequencies  # [B, T, 1, R]
        cos, sin = self._amplified(angles.cos()).to(x.dtype), self._amplified(angles.sin()).to(x.dtype)
        turning, still = x.split((self.rotated, self.head_dim - self.rotated), dim=-1)
        turned = torch.addcmul(turning * cos, self._partners(turning), sin)
        return torch.cat((turned, still), dim=-1) if self.rotated < self.head_dim else turned

    def _is_one_launch(self, x: Tensor) -> bool:
        """Whether a kernel of our own rotates: on a GPU, while a model writes. A compiler makes one itself."""
        narrow = x.dtype in KERNEL and self.frequencies.dtype == torch.float32 and x.stride(-1) == 1
        return x.is_cuda and HAS_TRITON and narrow and not torch.is_grad_enabled() and not is_traced(x)

    def _amplified(self, wave: Tensor) -> Tensor:
        return wave if self.amplitude == 1 else wave * self.amplitude

    def _partners(self, x: Tensor) -> Tensor:
        """The other half of each pair, in its place."""
        if self.interleaved:
            neighbours: Tensor = x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
            return neighbours
        return x.roll(self.rotated // 2, dims=-1)

    def _frequencies(self, like: Tensor) -> Tensor:
        """Radians a position [R]. The first of a pair is negative: its cosine is the same, its sine takes the minus."""
        angle = turns(self.theta, self.rotated, like)
        if self.scaling is not None:
            angle = self.scaling.scaled(angle, self.theta)
        return torch.stack((-angle, angle), dim=-1).flatten() if self.interleaved else torch.cat((-angle, angle))
