"""Stochastic gradient descent over a model's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from llm_build_plugins.train._groups import torch_groups

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.train.sgd_config import sgd


class SGD:
    """Makes torch's SGD, not in its fused form, where a parameter whose first gradient comes late is an error."""

    def __init__(self, config: sgd, context: Context) -> None:
        self.config = config

    def make(self, model: nn.Module) -> torch.optim.Optimizer:
        """A group for each way that the model's parameters ask to be treated."""
        groups = torch_groups(model, lr=self.config.lr, decay=self.config.decay)
        return torch.optim.SGD(groups, momentum=self.config.momentum, nesterov=self.config.nesterov)
