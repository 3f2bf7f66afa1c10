"""The routers. Legend: N positions, D model dim, X experts, k of them a position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from llm_build_plugins._autocast import without_autocast
from llm_build_plugins._thin import fits, product

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.ffn.router_config import Router as RouterConfig
    from llm_build_plugins.ffn.router_config import sigmoid_groups, softmax_topk


class Router(nn.Module):
    """x [N, D] → weights [N, k], experts [N, k] int64, the largest first, and the losses.

    Everything is float32 or wider, under autocast too: a rounded logit would send a position elsewhere.
    """

    def __init__(self, config: RouterConfig, context: Context) -> None:
        super().__init__()
        self.linear = nn.Linear(context.need("dim"), context.need("experts"), bias=config.bias)
        self.linear.exact = True  # type: ignore[assignment]
        self.k, self.balance = config.k, config.balance

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Mapping[str, Tensor]]:
        with without_autocast(x.device.type):
            logits = self.logits(x)
            weights, experts = self.choose(logits)
            if not self.balance or not self.training:
                return weights, experts, {}
            return weights, experts, {"balance": self.balance * imbalance(self.chances(logits), experts)}

    def logits(self, x: Tensor) -> Tensor:
        """[N, D] → [N, X]."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        weight, bias = self.linear.weight, self.linear.bias
        if fits(x, weight, bias):
            return product(x, weight, bias, dtype=dtype)
        return linear(x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))

    def choose(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """[N, X] → weights and experts [N, k]."""
        raise NotImplementedError

    def chances(self, logits: Tensor) -> Tensor:
        """[N, X] → [N, X], which sum to 1 over the experts: what the balance is taken of."""
        return logits.softmax(-1)


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


class SigmoidGroups(Router):
    """sigmoid(logits), of which the k best in the best groups are kept, divided by their sum, times `scale`.

    `correction` [X] is added to the scores where experts are chosen, and nowhere else. It is a buffer of float32 or
    wider at 0: nothing here moves it, and it is saved and loaded with the weights.
    """

    correction: Tensor

    def __init__(self, config: sigmoid_groups, context: Context) -> None:
        super().__init__(config, context)
        self.groups, self.keep, self.scale = config.groups, config.keep, config.scale
        # the model's dtype may be too coarse to tell two experts apart
        dtype = torch.promote_types(torch.get_default_dtype(), torch.float32)
        self.register_buffer("correction", torch.zeros(context.need("experts"), dtype=dtype))

    def choose(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        scores = logits.sigmoid()
        experts = self._within_groups(scores + self.correction).topk(self.k).indices
        weights = scores.gather(-1, experts)
        # all of them may be so small that they are 0
        return self.scale * weights / weights.sum(-1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny), experts

    def chances(self, logits: Tensor) -> Tensor:
        scores = logits.sigmoid()
        return scores / scores.sum(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).tiny)

    def _within_groups(self, scores: Tensor) -> Tensor:
        """[N, X] → [N, X] with -inf outside of the `keep` groups whose two best sum to most."""
        if self.keep == self.groups:
            return scores
        grouped = scores.unflatten(-1, (self.groups, -1))  # [N, groups, X / groups]
        best = grouped.topk(min(2, grouped.shape[-1])).values.sum(-1).topk(self.keep).indices
        outside = torch.ones_like(grouped[..., 0], dtype=torch.bool).scatter(-1, best, False)
        allowed: Tensor = grouped.masked_fill(outside[..., None], float("-inf")).flatten(-2)
        return allowed


def imbalance(chances: Tensor, experts: Tensor) -> Tensor:
    """chances [N, X], experts [N, k] → X · Σ share · chance, a scalar: 1 where all experts are alike, X at worst.

    An expert's share is its part of the N · k choices, its chance the mean of its own over the N positions. The
    positions are all of one call and one layer, padding among them. Only the chance has a gradient.
    """
    chosen = torch.zeros_like(chances).scatter_(1, experts, 1.0)
    return chances.shape[1] * (chosen.mean(0) / experts.shape[1] * chances.mean(0)).sum()
