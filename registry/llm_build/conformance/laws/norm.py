"""What holds for norms, and for what else takes any leading axes."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from llm_build.conformance.calls import call_of
from llm_build.conformance.check import check
from llm_build.conformance.compare import finite, require, same
from llm_build.conformance.trial import Trial

LEADING = ((), (3,), (2, 3, 2), (0, 2), (2, 1, 1, 3))
QUIET = {"zeros": 0.0, "equal numbers": 3.0, "tiny numbers": 1e-30}
BROAD = 512
"""So many dimensions that the rounding of each averages out, and what is left is that of the statistics."""
OFFSET = 2.0
"""Of the inputs: a mean that is worth taking, and numbers that do not round alike."""
SYSTEMATIC = 1.7e-3
"""Of the size of a row: the roundings of its numbers come to less than 0.0012, those of its statistics to 0.002."""
FAR, FARTHER = 1e5, 1e8


@check("leading", slots=["norm", "activation", "head"])
def leading(trial: Trial) -> None:
    """Any number of leading axes is taken, none and an empty one among them, and none of them means anything.

    Norms stand on heads [B, T, H, E] too, activations in banks of experts, heads on one row.
    """
    made = trial.made()
    axes = trial.draw("axes", st.sampled_from(LEADING))
    call = call_of(trial, made, rows=1, length=1)
    x = trial.normal(*axes, made.context.need("dim"))
    found = call(made.module, x=x)
    flat = x.reshape(-1, 1, x.shape[-1])
    one_by_one = [call(made.module, x=each[None]) for each in flat]
    expected = torch.cat(one_by_one) if one_by_one else found.new_zeros(0, 1, found.shape[-1])
    same(found, expected.reshape(*axes, expected.shape[-1]), f"x {list(x.shape)} and its rows one by one")


@check("epsilon", slots=["norm"])
def epsilon(trial: Trial) -> None:
    """Zeros, equal numbers and tiny ones give finite numbers and finite gradients, in float64, float32 and bfloat16.

    Where it fails, something is divided by a spread or a length that may be 0, without an epsilon, or with one that is
    added too late: a root has no slope at 0.
    """
    made = trial.made()
    call = call_of(trial, made)
    for what, value in QUIET.items():
        for dtype in (torch.float64, torch.float32, torch.bfloat16):
            module = made.module if dtype == torch.float64 else made.again(dtype=dtype)
            x = torch.full_like(call.tensors["x"], value, dtype=dtype).requires_grad_()
            found = call(module, x=x)
            finite(found, f"{what} in {dtype}")
            leaves = [x, *module.parameters()]
            for each in torch.autograd.grad(found.sum(), leaves, allow_unused=True):
                if each is not None:
                    finite(each, f"a gradient for {what} in {dtype}")


@check("magnitude", slots=["norm"])
def magnitude(trial: Trial) -> None:
    """However large the inputs are, the outputs are of one size.

    It tells a norm from a map that scales: a root that is missing, or statistics of something else than the input.
    """
    made = trial.made()
    call = call_of(trial, made)
    x = call.tensors["x"]
    with torch.no_grad():
        near, far = call(made.module, x=FAR * x), call(made.module, x=FARTHER * x)
    change = float((far - near).norm() / (near.norm() + 1e-9))
    require(change < 0.1, f"inputs {FARTHER / FAR:g} times as large change the outputs by {change:.0%}")


@check("statistics", slots=["norm"], quick=4, full=40)
def statistics(trial: Trial) -> None:
    """In bfloat16 it is off by no more than the rounding of each number: the statistics are float32 or wider.

    A mean or a root that is itself rounded moves a whole row one way, and every norm of a deep model the next. Where it
    fails, widen x before the statistics are taken, and narrow what comes out.
    """
    made = trial.made(dim=BROAD)
    narrow = made.again(dtype=torch.bfloat16)
    narrow.load_state_dict(made.module.state_dict())
    wide = made.again()
    wide.load_state_dict(narrow.state_dict())
    x = (trial.normal(4, 8, BROAD) + OFFSET).bfloat16()
    call = call_of(trial, made)
    _refuse_systematic(call(narrow, x=x).double(), call(wide, x=x.double()))


@torch.no_grad()
def _refuse_systematic(found: Tensor, expected: Tensor) -> None:
    error = found - expected
    squares = expected.square().mean(-1)
    factor = (error * expected).mean(-1) / squares
    shift = error.mean(-1) / squares.sqrt()
    worst = float(torch.stack((factor.abs(), shift.abs())).max())
    require(
        worst < SYSTEMATIC,
        f"a row in bfloat16 is off by {worst:.2%} as a whole; {SYSTEMATIC:.2%} is what rounding makes",
    )


@check("elementwise", slots=["activation"])
def elementwise(trial: Trial) -> None:
    """Every number is treated by itself: others around it, in its own vector too, change nothing.

    An activation that norms, gates or takes a softmax belongs into an ffn.
    """
    made = trial.made()
    call = call_of(trial, made)
    x = call.tensors["x"]
    order = torch.randperm(x.numel(), generator=trial.random)
    shuffled = x.flatten()[order].view_as(x)
    found = call(made.module, x=shuffled)
    same(found, call(made.module).flatten()[order].view_as(x), "the same numbers in another order")
