"""What holds for placements. Legend: B rows, T positions, D model dim."""

from __future__ import annotations

import torch
from torch import Tensor

from llm_build.conformance.calls import call_of
from llm_build.conformance.check import check
from llm_build.conformance.compare import require
from llm_build.conformance.trial import Trial

WIDE = 6
"""A dim in which a norm leaves something of what a branch adds."""


class Recorded:
    """A branch that adds a vector, and says when it was called and with what."""

    def __init__(self, name: str, calls: list[tuple[str, list[int]]], vector: Tensor) -> None:
        self.name, self.calls, self.vector = name, calls, vector

    def __call__(self, x: Tensor) -> Tensor:
        self.calls.append((self.name, list(x.shape)))
        return torch.sin(x) + self.vector


@check("branches", slots=["placement"])
def branches(trial: Trial) -> None:
    """Every branch is called once, in order, with [B, T, D], and what each gives reaches the output, with a gradient.

    A branch that is called twice writes its keys into the cache twice; one whose output goes nowhere trains nothing.
    """
    made = trial.made(dim=WIDE)
    call = call_of(trial, made, rows=2, length=4)
    x = call.tensors["x"].requires_grad_()
    calls: list[tuple[str, list[int]]] = []
    made_of = [Recorded(name, calls, trial.normal(x.shape[-1]).requires_grad_()) for name in made.context.branches]
    found = made.module(x, made_of)
    expected = [(name, list(x.shape)) for name in made.context.branches]
    require(calls == expected, f"the branches called are {calls}; {expected} is right")
    leaves = {"x": x, **{f"the branch {each.name}": each.vector for each in made_of}}
    (found * trial.normal(*found.shape)).sum().backward()
    for name, each in leaves.items():
        require(
            each.grad is not None and bool(each.grad.any()), f"{name} has no gradient: it does not reach the output"
        )


@check("stream", slots=["placement"])
def stream(trial: Trial) -> None:
    """x goes past every branch: with branches that give nothing but zeros, the output still follows x.

    Where it fails, the residual path is missing, and no gradient reaches the early layers of a deep model.
    """
    made = trial.made(dim=WIDE)
    call = call_of(trial, made, rows=2, length=4)
    silent = [torch.zeros_like] * len(made.context.branches)
    x = call.tensors["x"].requires_grad_()
    found = made.module(x, silent)
    require(found.requires_grad, "x does not reach the output past its branches")
    (grad,) = torch.autograd.grad((found * trial.normal(*found.shape)).sum(), x)
    still = ~grad.abs().amax(-1).gt(0)
    require(not bool(still.any()), f"x at {still.nonzero()[:1].tolist()} does not reach the output past its branches")
