"""The routers. Legend: N positions, D model dim, X experts, k of them a position."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from llm_build_plugins.ffn._autocast import autocasts

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.ffn.router_config import Router as RouterConfig
    from llm_build_plugins.ffn.router_config import softmax_topk


class Router(nn.Module):
    """x [N, D] → weights [N, k], experts [N, k] int64, the largest first, and the losses.

    Everything is float32 or wider, under autocast too: a rounded logit would send a position elsewhere.
    """

    def __init__(self, config: RouterConfig, context: Context) -> None:
        super().__init__()
        self.linear = nn.Linear(context.need("dim"), context.need("experts"), bias=config.bias)
        self.k, self.balance = config.k, config.balance

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Mapping[str, Tensor]]:
        with without_autocast(x.device.type):
            logits = self.logits(x)
            weights, experts = self.choose(logits)
            if not self.balance or not self.training:
                return weights, experts, {}
            return weights, experts, {"balance": self.balance * imbalance(logits, experts)}

    def logits(self, x: Tensor) -> Tensor:
        """[N, D] → [N, X]."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        bias = self.linear.bias
        return linear(x.to(dtype), self.linear.weight.to(dtype), None if bias is None else bias.to(dtype))

    def choose(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """[N, X] → weights and experts [N, k]."""
        raise NotImplementedError


class TopKSoftmax(Router):
    """softmax(topk(logits))."""

    def choose(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        largest, experts = logits.topk(self.k)
        return largest.softmax(-1), experts


class SoftmaxTopK(Router):
    """topk(softmax(logits)), divided by their sum where that is asked for."""

    def __init__(self, config: softmax_topk, context: Context) -> None:
        super().__init__(config, context)
        self.normalise = config.normalise

    def choose(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        weights, experts = logits.softmax(-1).topk(self.k)
        return weights / weights.sum(-1, keepdim=True) if self.normalise else weights, experts


def imbalance(logits: Tensor, experts: Tensor) -> Tensor:
    """logits [N, X], experts [N, k] → X · Σ share · chance, a scalar: 1 where all experts are alike, X at worst.

    An expert's share is its part of the N · k choices, its chance the mean over the N positions of its softmax over all
    X. The positions are all of one call and one layer, padding among them. Only the chance has a gradient.
    """
    chance = logits.softmax(-1).mean(0)
    chosen = torch.zeros_like(logits).scatter_(1, experts, 1.0)
    return logits.shape[1] * (chosen.mean(0) / experts.shape[1] * chance).sum()


def without_autocast(device: str) -> AbstractContextManager[object]:
    return torch.autocast(device, enabled=False) if autocasts(device) else nullcontext()
