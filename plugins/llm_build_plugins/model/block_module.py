"""The block. Legend: B rows, T positions, D model dim."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from llm_build import Context, Step
    from llm_build_plugins.model.block_config import block

    Losses = dict[str, Tensor]


class Block(nn.Module):
    """x [B, T, D] → [B, T, D] and the losses of its parts: the placement joins the branches to the stream."""

    def __init__(self, config: block, context: Context) -> None:
        super().__init__()
        self.placement = config.part("placement", context)
        self.attention = config.part("attention", context)
        self.cross = config.part("cross", context)
        self.ffn = config.part("ffn", context)
        self.checkpoint = config.checkpoint
        mixers = {"attention": self.attention, "cross": self.cross}
        self.state_spec = {name: mixer.state_spec for name, mixer in mixers.items() if mixer is not None}

    def forward(self, x: Tensor, step: Step) -> tuple[Tensor, Losses]:
        if not (self.checkpoint and self.training and torch.is_grad_enabled()):
            return self._forward(x, step)
        made: tuple[Tensor, Losses] = checkpoint(self._forward, x, step, use_reentrant=False)
        return made

    def _forward(self, x: Tensor, step: Step) -> tuple[Tensor, Losses]:
        losses: Losses = {}

        def mixing(name: str, mixer: nn.Module) -> Callable[[Tensor], Tensor]:
            def mix(x: Tensor) -> Tensor:
                mixed: Tensor = mixer(x, step.at(name))
                return mixed

            return mix

        def feed(x: Tensor) -> Tensor:
            fed: Tensor | tuple[Tensor, Losses] = self.ffn(x)
            if isinstance(fed, tuple):
                losses.update(fed[1])
                return fed[0]
            return fed

        branches = [mixing("attention", self.attention)]
        if self.cross is not None:
            branches.append(mixing("cross", self.cross))
        x = self.placement(x, (*branches, feed))
        return x, losses
