"""Adafactor over a model's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from llm_build_plugins.train._groups import torch_groups

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.train.adafactor_config import adafactor


class Adafactor:
    """Makes torch's Adafactor."""

    def __init__(self, config: adafactor, context: Context) -> None:
        self.config = config

    def make(self, model: nn.Module) -> torch.optim.Optimizer:
        """A group for each way that the model's parameters ask to be treated."""
        config = self.config
        return torch.optim.Adafactor(
            torch_groups(model, lr=config.lr, decay=config.decay),
            beta2_decay=config.beta2_decay,
            eps=(config.eps1, config.eps2),
            d=config.d,
        )
