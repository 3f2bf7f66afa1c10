"""The mixture of experts. Legend: B rows, T positions, N = B · T, D model dim, X experts, k of them a position."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from llm_build_plugins.ffn._rows import arrange

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.ffn.moe_config import moe

    Losses = Mapping[str, Tensor]

NOTHING: Losses = {}


class MoE(nn.Module):
    """x [B, T, D] → [B, T, D]: Σ weight · expert(x) over the k experts of each position, plus shared(x).

    Beside it stand the losses of the router and of the experts, where there are any.
    """

    def __init__(self, config: moe, context: Context) -> None:
        super().__init__()
        self.count, self.grouped = config.experts, config.grouped
        self.router = config.part("router", context)
        self.experts = config.part("expert", context) if self.grouped else separate(config, context)
        self.shared = config.part("shared", context)
        self.active = {"experts": Fraction(self.router.k, self.count)}

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Losses]:
        weights, experts, losses = self.router(x.reshape(-1, x.shape[-1]))
        run = self._by_rows if self.grouped else self._by_weights
        y, more = run(x, weights, experts)
        losses = added(losses, more)
        if self.shared is not None:
            again, more = parted(self.shared(x))
            y, losses = y + again, added(losses, more)
        return (y, losses) if losses else y

    def _by_rows(self, x: Tensor, weights: Tensor, experts: Tensor) -> tuple[Tensor, Losses]:
        """Each expert of a bank runs on the positions that chose it."""
        flat = x.reshape(-1, x.shape[-1])
        rows = arrange(experts, self.count, flat)
        y, losses = parted(self.experts(rows.spread(flat), rows.groups))
        return rows.collect(y, weights).view_as(x), losses

    def _by_weights(self, x: Tensor, weights: Tensor, experts: Tensor) -> tuple[Tensor, Losses]:
        """Each expert runs on every position; one that was not chosen weighs 0."""
        every = weights.new_zeros(len(weights), self.count).scatter_add(1, experts, weights)
        by_expert = every.to(x.dtype).unflatten(0, x.shape[:-1]).unbind(-1)
        y, losses = torch.zeros_like(x), NOTHING
        for expert, weight in zip(self.experts, by_expert, strict=True):
            one, more = parted(expert(x))
            y, losses = y + weight[..., None] * one, added(losses, more)
        return y, losses


def separate(config: moe, context: Context) -> nn.ModuleList:
    """As many modules as there are experts, each with its own weights."""
    inside = context.with_(experts=None)
    return nn.ModuleList(config.expert.build(inside) for _ in range(config.experts))


def parted(fed: Tensor | tuple[Tensor, Losses]) -> tuple[Tensor, Losses]:
    """What an ffn returns, as two."""
    return fed if isinstance(fed, tuple) else (fed, NOTHING)


def added(losses: Losses, more: Losses) -> Losses:
    """Losses of the same name are one."""
    return {**losses, **{name: losses[name] + each if name in losses else each for name, each in more.items()}}
