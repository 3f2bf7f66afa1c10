"""What holds for every module that is a function of tensors, whatever its slot."""

from __future__ import annotations

from collections.abc import Mapping

import safetensors.torch
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from llm_build.conformance.calls import CALLS, FLOATING, POINTWISE, call_of
from llm_build.conformance.check import check
from llm_build.conformance.compare import finite, require, same
from llm_build.conformance.trial import Trial

LARGE = 30.0
ROWS, LENGTH = 4, 6
"""Of cases in which every row and every position has neighbours."""


@check("shape", slots=CALLS)
def shape(trial: Trial) -> None:
    """What comes out has the shape that the slot asks for, and the dtype of the weights: float32, bfloat16, float64.

    It says nothing of the numbers. Where it fails, a constant of another dtype, or a sum that is widened and not
    narrowed again, is the usual cause.
    """
    made = trial.made()
    call = call_of(trial, made)
    wide = call(made.module)
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        found = call.cast(dtype)(made.again(dtype=dtype))
        require(
            found.shape == wide.shape, f"in {dtype} the shape is {list(found.shape)}, in float64 {list(wide.shape)}"
        )
        expected = torch.promote_types(dtype, torch.float32) if trial.subject.info.slot == "router" else dtype
        require(found.dtype == expected, f"weights and inputs of {dtype} give {found.dtype}; {expected} is right")


@check("finite", slots=FLOATING)
def is_finite(trial: Trial) -> None:
    """Inputs 30 times as large as usual give finite numbers, in float64 and in bfloat16.

    Larger ones may overflow. Where it fails, an exponential is not taken relative to its largest, or something is
    divided by what can be 0.
    """
    made = trial.made()
    call = call_of(trial, made)
    large = call.tensors["x"] * LARGE
    finite(call(made.module, x=large), "in float64")
    narrow = call.cast(torch.bfloat16)
    finite(narrow(made.again(dtype=torch.bfloat16), x=large.bfloat16()), "in bfloat16")


@check("weights", slots=CALLS)
def weights(trial: Trial) -> None:
    """The weights, written as safetensors and read into a module of another seed, give the same numbers.

    What decides the numbers and is neither a parameter nor a buffer that is kept is lost with every checkpoint.
    """
    made = trial.made()
    call = call_of(trial, made)
    kept = safetensors.torch.save(dict(made.module.state_dict()))
    other: nn.Module = made.again(seed=made.seed + 1)
    other.load_state_dict(safetensors.torch.load(kept))
    same(call(other), call(made.module), "the module that read the weights")


@check("random", slots=CALLS)
def random(trial: Trial) -> None:
    """In evaluation the numbers do not depend on the random state, nor on calls that came before.

    Dropout that acts in evaluation, noise, and a counter of calls are what it finds. Most other checks compare two
    calls and fail with it; it stays because it alone says why.
    """
    made = trial.made()
    call = call_of(trial, made)
    torch.default_generator.manual_seed(1)
    first = call(made.module)
    torch.default_generator.manual_seed(2)
    same(call(made.module), first, "a second call, at another random state", rtol=0, atol=0)


@check("rows", slots=CALLS)
def rows(trial: Trial) -> None:
    """A row of the batch gets the same numbers alone, in another order, and beside rows that are not finite.

    Where it fails, something is added up, normed or counted over the rows, or a place of one row is read by another:
    what a user gets would depend on who else asks.
    """
    made = trial.made()
    call = call_of(trial, made, rows=ROWS, length=LENGTH)
    whole = call(made.module)
    some = trial.draw("kept", st.permutations(range(ROWS)).map(lambda each: each[: ROWS // 2]))
    same(call.some(some)(made.module), whole[some], f"rows {some} without the others")
    if call.tensors:
        spoilt = {
            name: each.clone().index_fill_(0, _others(some, each), torch.nan) for name, each in call.tensors.items()
        }
        same(call(made.module, **spoilt)[some], whole[some], f"rows {some} where the others are NaN")


def _others(some: list[int], tensor: Tensor) -> Tensor:
    return torch.tensor([each for each in range(len(tensor)) if each not in some])


@check("pointwise", slots=POINTWISE - {"router"})
def pointwise(trial: Trial) -> None:
    """Each position is treated by itself: some positions, in another order, get the numbers that they get among all.

    Only mixers may pass anything between positions. Where it fails for a position component, it counts for itself
    instead of reading the positions that it is given. For a router, whose input has no rows, the check of rows says it.
    """
    made = trial.made()
    call = call_of(trial, made, rows=2, length=LENGTH)
    some = trial.draw("kept", st.permutations(range(LENGTH)).map(lambda each: each[: LENGTH // 2]))
    whole = call(made.module)
    same(call.some(slice(None), some)(made.module), whole[:, some], f"positions {some} without the others")


@check("inputs", slots=CALLS)
def inputs(trial: Trial) -> None:
    """Neither what is given nor a weight is changed by a call, and the way back, gone twice, gives the same twice.

    An in-place operation on an input spoils the residual stream of whoever called; one in a way back of your own spoils
    what activation checkpointing or a second loss still needs.
    """
    made = trial.made()
    call = call_of(trial, made)
    before = {name: each.clone() for name, each in call.given.items()}
    kept = {name: each.clone() for name, each in made.module.state_dict().items()}
    with torch.no_grad():
        call(made.module)
    _unchanged(call.given, before, "the input")
    wanted = {name: each.clone().requires_grad_() for name, each in call.tensors.items()}
    given = {name: each * 1 for name, each in wanted.items()}  # no leaves, which autograd would guard
    found = call(made.module, **given)
    leaves = [*wanted.values(), *made.module.parameters()]
    if leaves and found.requires_grad:
        _back_twice(found, leaves, trial)
    _unchanged(given, before, "after the way back the input")
    _unchanged(made.module.state_dict(), kept, "the weight")


def _back_twice(found: Tensor, leaves: list[Tensor], trial: Trial) -> None:
    weights = trial.normal(*found.shape).to(found.dtype)
    kept = weights.clone()
    first, second = (
        torch.autograd.grad(found, leaves, weights, retain_graph=True, allow_unused=True) for _ in range(2)
    )
    same(weights, kept, "the gradient that was handed in", rtol=0, atol=0)
    for one, other in zip(first, second, strict=True):
        if one is not None and other is not None:
            same(other, one, "the second way back")


def _unchanged(tensors: Mapping[str, Tensor], before: Mapping[str, Tensor], what: str) -> None:
    for name, each in tensors.items():
        same(each.detach(), before[name], f"{what} {name}", rtol=0, atol=0)
