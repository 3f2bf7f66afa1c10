"""The linear head. Legend: D model dim, V vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from llm_build import TABLE

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.head.linear_config import linear


class LinearHead(nn.Module):
    """x [..., D] → logits [..., V]: (x · weightᵀ + bias) · scale."""

    def __init__(self, config: linear, context: Context) -> None:
        super().__init__()
        dim, vocab = context.need("dim"), context.need("vocab")
        self.scale = config.scale
        self.own = None if config.tie else nn.Parameter(torch.empty(vocab, dim))
        self.bias = nn.Parameter(torch.zeros(vocab)) if config.bias else None
        self.product: nn.Module | None = None
        self.parameter_groups = {"own": TABLE}
        # in a tuple it is no submodule: the matrix has one name in the checkpoint, and to_empty cannot part the two
        self._source: tuple[Any, ...] = ()
        if self.own is not None:
            nn.init.normal_(self.own, std=dim**-0.5)

    def tie(self, embedding: Any) -> None:
        if self.own is None:
            self._source = (embedding,)

    def initialise(self, draw: Callable[[Tensor], None]) -> None:
        if self.own is not None:
            draw(self.own)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def quantise(self, linear: Callable[[Tensor, Tensor | None], nn.Module]) -> None:
        """Take the product from `linear(weight, bias)`; the matrix of an embedding that it is tied to stays there."""
        self.product = linear(self.weight, self.bias)
        self.own, self.bias, self._source = None, None, (self.product,)

    @property
    def weight(self) -> Tensor:
        """[V, D], its own or the embedding's."""
        if self.own is not None:
            return self.own
        weight: Tensor = self._source[0].weight
        return weight

    def forward(self, x: Tensor) -> Tensor:
        product = self.product
        logits: Tensor = nn.functional.linear(x, self.weight, self.bias) if product is None else product(x)
        return logits if self.scale is None else logits * self.scale
