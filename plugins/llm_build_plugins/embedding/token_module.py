"""The token embedding. Legend: B rows, T positions, D model dim, V vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from llm_build import TABLE

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.embedding.token_config import token


class TokenEmbedding(nn.Module):
    """tokens [B, T] int64 → [B, T, D]: rows of weight [V, D]."""

    def __init__(self, config: token, context: Context) -> None:
        super().__init__()
        self.scale = config.scale
        self.weight = nn.Parameter(torch.empty(context.need("vocab"), context.need("dim")))
        self.parameter_groups = {"weight": TABLE}
        nn.init.normal_(self.weight)

    def initialise(self, draw: Callable[[Tensor], None]) -> None:
        draw(self.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        x = nn.functional.embedding(tokens, self.weight)
        return x if self.scale is None else x * self.scale
