"""The normal initialiser."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.model.normal_config import normal


class Normal:
    """Draws every weight from normal(0, std); those marked `writes_residual` from normal(0, std / sqrt(2 · layers)).

    A module with parameters that are no `nn.Linear`'s has `initialise(draw)`, where `draw(tensor)` fills in place, and
    `draw(tensor, residual=True)` does so for a map that writes into the residual stream.
    """

    def __init__(self, config: normal, context: Context) -> None:
        self.std = config.std
        self.residual_std = config.std / math.sqrt(2 * context.need("depth")) if config.residual else config.std

    @torch.no_grad()
    def initialise(self, model: nn.Module, generator: torch.Generator) -> None:
        def draw(weight: Tensor, residual: bool = False) -> None:
            weight.normal_(0, self.residual_std if residual else self.std, generator=generator)

        for module in model.modules():
            if isinstance(module, nn.Linear):
                draw(module.weight, residual=getattr(module, "writes_residual", False))
                if module.bias is not None:
                    module.bias.zero_()
            elif callable(own := getattr(module, "initialise", None)):
                own(draw)
