"""AdamW over a model's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from llm_build_plugins.train._groups import can_fuse, torch_groups

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.train.adamw_config import adamw


class AdamW:
    """Makes torch's AdamW, in its fused form where the device has one."""

    def __init__(self, config: adamw, context: Context) -> None:
        self.config = config

    def make(self, model: nn.Module) -> torch.optim.Optimizer:
        """A group for each way that the model's parameters ask to be treated."""
        groups = torch_groups(model, lr=self.config.lr, decay=self.config.decay)
        first, second = self.config.betas
        return torch.optim.AdamW(groups, betas=(first, second), eps=self.config.eps, fused=can_fuse(groups))
