"""A small recurrent model, for what no built-in keeps yet: fields per sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from llm_build import Field, State, Step


class Decay(nn.Module):
    """h[t] = h[t-1] / 2 + x[t]; keeps h [D], and how many tokens it has seen."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.state_spec = {"h": Field((dim,), per="sequence"), "seen": Field((), per="sequence", dtype=torch.int64)}

    def forward(self, x: Tensor, step: Step) -> Tensor:
        h, out = step.carry("h", self.state_spec["h"], x), []
        seen = step.carry("seen", self.state_spec["seen"], x)
        for place, each in enumerate(x.unbind(1)):
            real = step.index[:, place, None] >= 0
            h = torch.where(real, h / 2 + each, h)
            out.append(h)
        step.keep("h", h)
        step.keep("seen", seen + (step.index >= 0).sum(1))
        return torch.stack(out, 1)


class Toy(nn.Module):
    """tokens [B, T] → [B, T, D]: two decays over an embedding."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, dim, dtype=torch.float64)
        self.mixers = nn.ModuleList([Decay(dim), Decay(dim)])
        self.state_spec = [{"mixer": mixer.state_spec} for mixer in self.mixers]

    def forward(self, tokens: Tensor, state: State | None = None, *, count: Tensor | None = None) -> Tensor:
        step = Step.begin(tokens, state, count=count)
        x = self.embedding(tokens)
        for index, mixer in enumerate(self.mixers):
            x = mixer(x, step.at(index).at("mixer"))
        if state is not None:
            state.advance(tokens.shape[1] if count is None else count)
        return x
