"""The gated feed-forward networks. Legend: B rows, T positions, D model dim, F hidden, R rows of a bank of experts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from llm_build_plugins.ffn._gate import gelu_gate, silu_gate
from llm_build_plugins.ffn._linear import GroupedLinear, linear

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build.interfaces import Groups
    from llm_build_plugins.ffn._shared import Gated as GatedConfig


class Gated(nn.Module):
    """x [B, T, D] → [B, T, D]: down(gate(gate_up(x))). Gate and up are one matrix [2F, D], the gate first.

    As a bank of experts: x [R, D] and where each row belongs → [R, D].
    """

    def __init__(self, config: GatedConfig, context: Context) -> None:
        super().__init__()
        dim = context.need("dim")
        self.gate_up = linear(context, dim, 2 * config.hidden, bias=config.bias)
        self.down = linear(context, config.hidden, dim, bias=config.bias, residual=True)

    def forward(self, x: Tensor, *groups: Groups) -> Tensor:
        parts = self.gate_up.halves(x, *groups) if isinstance(self.gate_up, GroupedLinear) else (self.gate_up(x),)
        y: Tensor = self.down(self.gate(*parts), *groups)
        return y

    def gate(self, *parts: Tensor) -> Tensor:
        """[..., 2F], or gate and up by themselves → [..., F]."""
        raise NotImplementedError


class SwiGLU(Gated):
    """down(silu(gate(x)) · up(x))."""

    def gate(self, *parts: Tensor) -> Tensor:
        return silu_gate(*parts)


class GeGLU(Gated):
    """down(gelu(gate(x)) · up(x))."""

    def gate(self, *parts: Tensor) -> Tensor:
        return gelu_gate(*parts)
