"""What holds for position components. Legend: B rows, T positions, H heads, E head dim, D model dim."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from llm_build.conformance.calls import Call, call_of
from llm_build.conformance.check import check
from llm_build.conformance.compare import require, same
from llm_build.conformance.trial import Trial

FURTHEST = 2000
"""A shift of a sequence."""
LONG = 4096
"""A context in which bfloat16 no longer tells neighbours apart."""
NARROW = {torch.float32: 0.02, torch.bfloat16: 0.06}
"""What the rounding of numbers, not of angles, may come to, of the largest number."""


@check("placed", slots=["position"])
def placed(trial: Trial) -> None:
    """What is at another position becomes something else.

    Where it fails, the component does nothing, or all positions are the same to it.
    """
    made = trial.made()
    call = call_of(trial, made, rows=2, length=6)
    x = call.tensors["x"][:, :1].expand_as(call.tensors["x"])
    found = call(made.module, x=x)
    for place in range(1, found.shape[1]):
        require(
            not torch.allclose(found[:, place], found[:, 0]),
            f"position {place} of a row gives what position 0 of it gives",
        )


@check("lengths", slots=["position"], needs=["rotary"])
def lengths(trial: Trial) -> None:
    """A turned vector is as long at every position as at position 0.

    Where it fails, the two numbers of a pair are not turned by one angle: a sign, or the order of a pair. It stays for
    those that do not promise "relative", which says as much and more.
    """
    made = trial.made()
    call = call_of(trial, made, rows=2, length=6)
    origin = torch.zeros_like(call.places["positions"])
    expected = call(made.module, positions=origin).norm(dim=-1)
    same(call(made.module).norm(dim=-1), expected, "the length of a turned vector")


@check("heads", slots=["position"], needs=["rotary"])
def heads(trial: Trial) -> None:
    """Every head is turned alike, however many there are: queries and keys need not have as many.

    Where it fails, the heads are taken for positions, or the number of query heads is built in.
    """
    made = trial.made(heads=3)
    call = call_of(trial, made, rows=2, length=5)
    whole = call(made.module)
    for head in range(3):
        alone = call(made.module, x=call.tensors["x"][:, :, head : head + 1])
        same(alone, whole[:, :, head : head + 1], f"head {head} alone")


@check("relative", slots=["position"], needs=["relative", "rotary"])
def relative(trial: Trial) -> None:
    """The product of a turned query and a turned key follows from how far apart they are: moving both changes nothing.

    It is what a promise of "relative" says. Where it fails, angles do not grow evenly with the position.
    """
    made = trial.made()
    query = call_of(trial, made, rows=2, length=6)
    key = trial.normal(*query.tensors["x"].shape)
    shift = trial.whole("shift", 1, FURTHEST)
    same(
        _products(query, made.module, key, shift),
        _products(query, made.module, key, 0),
        f"moved by {shift}",
        rtol=1e-6,
        atol=1e-6,
    )


def _products(query: Call, module: torch.nn.Module, key: Tensor, shift: int) -> Tensor:
    """[B, H, T, T]."""
    positions = query.places["positions"] + shift
    turned = query(module, positions=positions), query(module, x=key, positions=positions)
    return torch.einsum("bthe,bshe->bhts", *turned)


@check("added", slots=["position"], needs=["additive"])
def added(trial: Trial) -> None:
    """What is added depends on the position alone, and not on what it is added to.

    Where it fails, x is scaled or normed on the way, or the position is added more than once.
    """
    made = trial.made()
    call = call_of(trial, made, rows=2, length=6)
    x, other = call.tensors["x"], trial.normal(*call.tensors["x"].shape)
    same(call(made.module, x=other) - other, call(made.module) - x, "what is added to another x")


@check("angles", slots=["position"])
def angles(trial: Trial) -> None:
    """Far along in bfloat16 and float32, numbers are rounded and positions are not: it stays near to float64.

    bfloat16 has no 257, and a frequency rounded to it is off by a whole turn after some hundred positions. Where it
    fails, keep frequencies, tables and angles in float32, whatever the module is cast to, and cast what comes of them.
    """
    made = trial.made(context=LONG)
    call = call_of(trial, made, rows=3, length=6)
    for dtype, tolerance in NARROW.items():
        built = made.again(dtype=dtype)
        built.load_state_dict(made.module.state_dict())
        wide = made.again()
        wide.load_state_dict(built.state_dict())
        x = call.tensors["x"].to(dtype)
        expected = call(wide, x=x.double()).detach()
        for how, module in (("built", built), ("cast", copy.deepcopy(made.module).to(dtype))):
            error = float((call(module, x=x).detach().double() - expected).abs().max() / expected.abs().max())
            require(error < tolerance, f"{how} in {dtype} it is off by {error:.2g} of the largest number")
