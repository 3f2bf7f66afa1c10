"""What holds for the gradients of every module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from hypothesis import assume
from torch import Tensor, nn

from llm_build.components import field_specs, walk
from llm_build.conformance.calls import CALLS, FLOATING, Call, call_of, losses_of
from llm_build.conformance.check import check
from llm_build.conformance.compare import finite, require
from llm_build.conformance.trial import Trial, shake

WIDE = {"dim": 8}
"""Wide enough for every weight to matter: a LayerNorm of one dimension has nothing to norm."""
TRIES = 8
"""Weights and inputs that a gradient may be zero for by chance: a ReLU that is closed, an expert that nobody chose."""
STEPS = (1e-6, 1e-7)
"""Of a difference. A kink between its ends spoils the first, hardly ever both."""
TOLERANCE = 1e-4
SMALL, NOTHING = 1e-6, 1e-11
"""A change of a parameter, and what rounding makes of none."""
CHOICES = ("experts", "window")
"""Fields that leave nothing to choose where they are 1, so that what chooses is rightly idle."""


@check("gradients", slots=CALLS)
def gradients(trial: Trial) -> None:
    """In training every parameter gets a gradient that is finite, and not zero everywhere.

    A parameter that is never used, or that is cut off from the loss, trains nothing and is saved with every checkpoint.
    A few cases are tried for each config, since an expert may be chosen by nobody. A parameter that only decides
    between things, and where a small change changes nothing, needs none.
    """
    made = trial.made(**_telling(trial))
    assume(not any(getattr(each, name, None) == 1 for each in walk(made.config) for name in CHOICES))
    parameters = {name: each for name, each in made.module.named_parameters() if each.numel()}
    missing, idle = set(parameters), set(parameters)
    for attempt in range(TRIES if parameters else 0):
        shake(made.module, made.seed + attempt)
        call = call_of(trial, made, rows=3, length=8)
        missing -= set(_reached(made.module.train(), call, trial))
        made.module.eval()
        idle &= missing
        idle -= {name for name in sorted(idle) if _acts(name, parameters[name], made.module, call)}
        if not idle:
            break
    require(not idle, f"{', '.join(sorted(idle))}: never used, other values change nothing")


def _telling(trial: Trial) -> dict[str, Any]:
    experts = {"experts": trial.whole("experts", 2, 5)} if trial.subject.info.slot == "router" else {}
    fields = {"dropout": 0.0} if "dropout" in field_specs(trial.subject.cls) else {}
    return {**WIDE, **experts, "dropout": 0.0, "fields": fields}


def _reached(module: nn.Module, call: Call, trial: Trial) -> Iterator[str]:
    """The parameters with a gradient, which must be finite."""
    module.zero_grad()
    whole = call.whole(module)
    found = call.read(whole)
    loss = (found * trial.normal(*found.shape)).sum() + sum(losses_of(whole).values())
    require(loss.requires_grad, "nothing that comes out has a gradient")
    loss.backward()
    for name, each in module.named_parameters():
        if each.grad is not None:
            finite(each.grad, f"the gradient of {name}")
            if bool(each.grad.any()):
                yield name


def _acts(name: str, parameter: Tensor, module: nn.Module, call: Call) -> bool:
    """Whether other values of a parameter without a gradient give something else; a small change must not."""
    with torch.no_grad():
        before, kept = call(module), parameter.clone()
        parameter.add_(SMALL * torch.randn_like(parameter))
        slightly = call(module)
        parameter.copy_(3 * torch.randn_like(parameter))
        anew = call(module)
        parameter.copy_(kept)
    require(torch.allclose(slightly, before, rtol=NOTHING, atol=NOTHING), f"{name} acts, and gets no gradient")
    return not torch.allclose(anew, before, rtol=NOTHING, atol=NOTHING)


@check("gradcheck", slots=FLOATING, quick=5, full=50)
def gradcheck(trial: Trial) -> None:
    """The gradients of every input and parameter are those that differences of the outputs give, in float64.

    It finds a way back of your own that is wrong, and a detach where something depends on what was detached. What
    rounds on purpose and passes gradients straight through must opt out.
    """
    made = trial.made(**_telling(trial))
    call = call_of(trial, made, rows=2, length=4)
    inputs = {name: each.requires_grad_() for name, each in call.tensors.items()}
    weights = trial.normal(*call(made.module).shape)
    leaves = {**inputs, **dict(made.module.named_parameters())}
    summed = (call(made.module) * weights).sum()
    require(summed.requires_grad, "nothing that comes out has a gradient")
    grads = torch.autograd.grad(summed, list(leaves.values()), allow_unused=True)
    for (name, each), grad in zip(leaves.items(), grads, strict=True):
        direction = trial.normal(*each.shape)
        told = 0.0 if grad is None else float((grad * direction).sum())
        seen = [_slope(made.module, call, weights, each, direction * step, step) for step in STEPS]
        require(
            any(abs(told - slope) <= TOLERANCE * (1 + abs(slope)) for slope in seen),
            f"the gradient of {name} says {told:.6g} where differences say {seen[0]:.6g}",
        )


@torch.no_grad()
def _slope(module: nn.Module, call: Call, weights: Tensor, leaf: Tensor, move: Tensor, step: float) -> float:
    kept = leaf.clone()
    ends = []
    for sign in (1, -1):
        leaf.copy_(kept + sign * move)
        ends.append((call(module) * weights).sum())
    leaf.copy_(kept)
    return float((ends[0] - ends[1]) / (2 * step))
