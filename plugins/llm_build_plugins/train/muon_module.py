"""Muon over a model's matrices, and another optimiser over the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from llm_build import parameter_groups
from llm_build_plugins.train._groups import torch_groups
from llm_build_plugins.train._matrices import MatricesAndOthers

if TYPE_CHECKING:
    from llm_build import Context, ParameterGroup
    from llm_build_plugins.train.muon_config import muon


class Muon:
    """Makes torch's Muon and what `others` makes, as one; for a model without matrices the latter alone."""

    def __init__(self, config: muon, context: Context) -> None:
        self.config = config
        self.others = config.part("others", context)

    def make(self, model: nn.Module) -> torch.optim.Optimizer:
        """A group for each way that the model's parameters ask to be treated, those of the matrices first."""
        config = self.config
        matrices, rest = Chosen(model, matrix=True), Chosen(model, matrix=False)
        if not matrices.parameter_groups:
            others: torch.optim.Optimizer = self.others.make(rest)
            return others
        return MatricesAndOthers(
            torch_groups(matrices, lr=config.lr, decay=config.decay),
            self.others.make(rest) if rest.parameter_groups else None,
            momentum=config.momentum,
            ns_steps=config.ns_steps,
            adjust_lr_fn=config.adjust,
        )


class Chosen(nn.Module):
    """A model's matrices, or all else, with what was asked for them: something to make an optimiser over."""

    def __init__(self, model: nn.Module, *, matrix: bool) -> None:
        super().__init__()
        self.parameter_groups: dict[str, ParameterGroup] = {}
        for group, weights in parameter_groups(model).items():
            for weight in weights if group.matrix == matrix else ():
                name = f"weight{len(self.parameter_groups)}"
                self.register_parameter(name, weight)
                self.parameter_groups[name] = group
