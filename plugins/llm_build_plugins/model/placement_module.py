"""Where the norms sit and how branches join the residual stream. Legend: B rows, T positions, D model dim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from llm_build_plugins.model._shared import dropout

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.model.placement_config import parallel, post, pre

    Branch = Callable[[Tensor], Tensor]


class _Placement(nn.Module):
    """A norm for each branch of `context.branches`, by the branch's name."""

    def __init__(self, config: pre | post, context: Context) -> None:
        super().__init__()
        self.norms = nn.ModuleDict({name: config.part("norm", context) for name in context.branches})
        self.dropout = dropout(config.dropout)


class Pre(_Placement):
    """x [B, T, D] → [B, T, D]: x + branch(norm(x)), branch after branch."""

    def forward(self, x: Tensor, branches: Sequence[Branch]) -> Tensor:
        for norm, branch in zip(self.norms.values(), branches, strict=True):
            x = x + self.dropout(branch(norm(x)))
        return x


class Post(_Placement):
    """x [B, T, D] → [B, T, D]: norm(x + branch(x)), branch after branch."""

    def forward(self, x: Tensor, branches: Sequence[Branch]) -> Tensor:
        for norm, branch in zip(self.norms.values(), branches, strict=True):
            x = norm(x + self.dropout(branch(x)))
        return x


class Parallel(nn.Module):
    """x [B, T, D] → [B, T, D]: x + Σ branch(norm(x)), every branch on the same copy."""

    def __init__(self, config: parallel, context: Context) -> None:
        super().__init__()
        self.norm = config.part("norm", context)
        self.dropout = dropout(config.dropout)

    def forward(self, x: Tensor, branches: Sequence[Branch]) -> Tensor:
        normed = self.norm(x)
        for branch in branches:
            x = x + self.dropout(branch(normed))
        return x
