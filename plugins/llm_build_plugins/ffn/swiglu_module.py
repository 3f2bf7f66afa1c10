"""SwiGLU. Legend: B rows, T positions, D model dim, F hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn.functional import silu

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.ffn.swiglu_config import swiglu


class SwiGLU(nn.Module):
    """x [B, T, D] → [B, T, D]: down(silu(gate(x)) · up(x)). Gate and up are one matrix [2F, D], the gate first."""

    def __init__(self, config: swiglu, context: Context) -> None:
        super().__init__()
        dim = context.need("dim")
        self.gate_up = nn.Linear(dim, 2 * config.hidden, bias=config.bias)
        self.down = nn.Linear(config.hidden, dim, bias=config.bias)
        self.down.writes_residual = True  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)  # [B, T, F] each
        y: Tensor = self.down(silu(gate) * up)
        return y
