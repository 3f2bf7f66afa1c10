"""The plain feed-forward network. Legend: B rows, T positions, D model dim, F hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.ffn.mlp_config import mlp


class MLP(nn.Module):
    """x [B, T, D] → [B, T, D]: down(activation(up(x)))."""

    def __init__(self, config: mlp, context: Context) -> None:
        super().__init__()
        dim = context.need("dim")
        self.up = nn.Linear(dim, config.hidden, bias=config.bias)
        self.activation = config.part("activation", context)
        self.down = nn.Linear(config.hidden, dim, bias=config.bias)
        self.down.writes_residual = True  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(self.activation(self.up(x)))
        return y
