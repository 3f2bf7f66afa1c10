"""The plain feed-forward network. Legend: B rows, T positions, D model dim, F hidden, R rows of a bank of experts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from llm_build_plugins.ffn._linear import linear

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build.interfaces import Groups
    from llm_build_plugins.ffn.mlp_config import mlp


class MLP(nn.Module):
    """x [B, T, D] → [B, T, D]: down(activation(up(x))).

    As a bank of experts: x [R, D] and where each row belongs → [R, D].
    """

    def __init__(self, config: mlp, context: Context) -> None:
        super().__init__()
        dim = context.need("dim")
        self.up = linear(context, dim, config.hidden, bias=config.bias)
        self.activation = config.part("activation", context)
        self.down = linear(context, config.hidden, dim, bias=config.bias, residual=True)

    def forward(self, x: Tensor, *groups: Groups) -> Tensor:
        y: Tensor = self.down(self.activation(self.up(x, *groups)), *groups)  # through [B, T, F]
        return y
