"""What holds for every module that is a function of tensors, whatever its slot."""

from __future__ import annotations

import safetensors.torch
import torch
from hypothesis import assume
from torch import nn

from llm_build.conformance.calls import CALLS, FLOATING, call_of
from llm_build.conformance.check import check
from llm_build.conformance.compare import finite, require, same
from llm_build.conformance.trial import Trial

LARGE = 30.0


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
    """Inputs 30 times as large as usual give finite numbers, in float64 and in bfloat16."""
    made = trial.made()
    call = call_of(trial, made)
    large = call.tensors["x"] * LARGE
    finite(call(made.module, x=large), "in float64")
    narrow = call.cast(torch.bfloat16)
    finite(narrow(made.again(dtype=torch.bfloat16), x=large.bfloat16()), "in bfloat16")


@check("gradients", slots=CALLS)
def gradients(trial: Trial) -> None:
    """Every parameter gets a gradient that is finite, and not zero everywhere.

    A parameter that is never used, or that is cut off from the loss, trains nothing and is saved with every checkpoint.
    """
    made = trial.made()
    call = call_of(trial, made)
    weights = trial.normal(*call(made.module).shape)
    parameters = dict(made.module.named_parameters())
    assume(parameters)
    (call(made.module) * weights).sum().backward()
    for name, each in parameters.items():
        require(each.grad is not None, f"{name} gets no gradient")
        finite(each.grad, f"the gradient of {name}")


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
    """In evaluation the numbers do not depend on the random state, nor on calls that came before."""
    made = trial.made()
    call = call_of(trial, made)
    torch.manual_seed(1)
    first = call(made.module)
    torch.manual_seed(2)
    same(call(made.module), first, "a second call, at another random state", rtol=0, atol=0)
