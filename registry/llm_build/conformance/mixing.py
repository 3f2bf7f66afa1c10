"""Mixers alone as a whole model, over vectors in place of tokens. Legend: B rows, T positions, D model dim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from llm_build.conformance.trial import Made, shake
from llm_build.step import State, Step


class Mixers(nn.Module):
    """x [B, T, D] → [B, T, D]: each mixer adds to x. It takes what a model takes, a state and a memory among it."""

    def __init__(self, mixers: Sequence[Any], dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        # a state is laid out in the dtype of the weights, and a mixer may have none
        self.like = nn.Parameter(torch.empty(0, dtype=dtype))
        self.mixers = nn.ModuleList(mixers)
        self.state_spec = [{"mixer": each.state_spec} for each in mixers]

    def forward(self, x: Tensor, state: State | None = None, *, count: Tensor | None = None, **told: Any) -> Tensor:
        step = Step.begin(x[..., 0], state, count=count, **told)
        for layer, mixer in enumerate(self.mixers):
            x = x + mixer(x, step.at(layer).at("mixer"))
        if state is not None:
            state.advance(x.shape[1] if count is None else count)
        return x


def mixers_of(made: Made, layers: int = 1, dtype: torch.dtype = torch.float64) -> Mixers:
    """A model of the mixer that was drawn, and of others of its config with weights of their own."""
    mixers = [made.module] if dtype == torch.float64 else []
    for number in range(len(mixers), layers):
        other = made.again(seed=made.seed + number, dtype=dtype)
        shake(other, made.seed + number)
        mixers.append(other)
    return Mixers(mixers, dtype)
