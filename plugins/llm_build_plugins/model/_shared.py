"""What models and placements share. Legend: B rows, T positions, D model dim."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from llm_build import Step


def dropout(rate: float) -> nn.Module:
    """Dropout that acts while training; at rate 0 it is not there, since torch's would still copy."""
    return nn.Dropout(rate) if rate else nn.Identity()


def through(layers: Iterable[nn.Module], x: Tensor, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
    """x [B, T, D] → [B, T, D] after every layer, and the losses of the layers, each summed over them."""
    losses: dict[str, Tensor] = {}
    for index, layer in enumerate(layers):
        x, more = layer(x, step.at(index))
        losses = {name: losses.get(name, 0) + more.get(name, 0) for name in {**losses, **more}}
    return x, losses
