"""AdamW over a model's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.train.adamw_config import adamw

FUSED = frozenset({"cpu", "cuda", "mps"})


class AdamW:
    """Makes torch's AdamW, in its fused form where the device has one."""

    def __init__(self, config: adamw, context: Context) -> None:
        self.config = config

    def make(self, model: nn.Module) -> torch.optim.Optimizer:
        """Two groups: matrices and tables decay, vectors and scalars (norms, biases) do not."""
        weights = [each for each in model.parameters() if each.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [each for each in weights if each.ndim >= 2], "weight_decay": self.config.decay},
            {"params": [each for each in weights if each.ndim < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(
            [each for each in groups if each["params"]],
            lr=self.config.lr,
            betas=(self.config.betas[0], self.config.betas[1]),
            eps=self.config.eps,
            fused=all(each.device.type in FUSED for each in weights),
        )
