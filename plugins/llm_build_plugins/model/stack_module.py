"""A stack of layers. Legend: B rows, T positions, D model dim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from llm_build import can
from llm_build_plugins.model._shared import dropout, through

if TYPE_CHECKING:
    from llm_build import Context, Step
    from llm_build_plugins.model.stack_config import stack


class Stack(nn.Module):
    """x [B, T, D] → [B, T, D] and the losses of the layers: norm(layers(dropout(x + position)))."""

    def __init__(self, config: stack, context: Context) -> None:
        super().__init__()
        self.position = config.part("position", context) if can(config.position, "additive") else None
        self.dropout = dropout(config.dropout)
        self.layers = nn.ModuleList(config.parts("layers", context))
        self.norm = config.part("norm", context)
        self.state_spec = [layer.state_spec for layer in self.layers]

    def forward(self, x: Tensor, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        if self.position is not None:
            x = self.position.embed(x, step.positions)
        x, losses = through(self.layers, self.dropout(x), step)
        return (x if self.norm is None else self.norm(x)), losses
