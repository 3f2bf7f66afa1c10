"""What belongs to a module, and goes where it goes."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from llm_build.conformance.calls import CALLS, call_of
from llm_build.conformance.check import check
from llm_build.conformance.compare import require, same
from llm_build.conformance.trial import Trial

LOOSE = 1e-4
"""What float32 may lose."""


@check("apart", slots=CALLS)
def apart(trial: Trial) -> None:
    """Two instances share nothing: overwriting and using one never moves what the other gives.

    Tensors that hang from a class, or stand in a module's globals, belong to nobody and are refused wherever they are
    found. A cache inside a function (functools.lru_cache) cannot be looked into: one whose key leaves out something
    that matters is seen only where it is overwritten.
    """
    made = trial.made()
    call = call_of(trial, made)
    before = call(made.module).detach()
    other = made.again(seed=made.seed + 1)
    with torch.no_grad():
        for each in (*other.parameters(), *other.buffers()):
            each.copy_(7 * torch.ones_like(each))
        call(other)
        fellow = trial.made()
        call_of(trial, fellow, length=8)(fellow.module)
    same(call(made.module), before, "one instance, after others were used")
    for place, name in _common(made.module):
        require(False, f"{place} holds the tensor {name}, which all instances share; register a buffer of its own")


def _common(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Tensors in the classes of a module and in the globals beside them, those of torch left out."""
    classes = {cls for each in module.modules() for cls in type(each).__mro__}
    ours = sorted(
        (cls for cls in classes if cls.__module__.partition(".")[0] not in ("torch", "builtins")),
        key=lambda cls: cls.__qualname__,
    )
    for cls in ours:
        yield from ((cls.__name__, name) for name, value in vars(cls).items() if _holds(value))
    for place in sorted({cls.__module__ for cls in ours}):
        globals_ = vars(sys.modules.get(place, torch.nn.Module))
        yield from ((place, name) for name, value in globals_.items() if _holds(value))


def _holds(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_holds(each) for each in value.values())
    if isinstance(value, list | tuple | set):
        return any(_holds(each) for each in value)
    return isinstance(value, Tensor)


@check("meta", slots=CALLS)
def meta(trial: Trial) -> None:
    """On the meta device it has the names, shapes and dtypes that it has elsewhere, and runs, without any numbers.

    What a model costs is found there before it is built. A number that is read back (`.item()`, `tolist()`, an `if` on
    a tensor) cannot be had there, and makes a GPU wait.
    """
    made = trial.made()
    call = call_of(trial, made)
    bare = made.again(device="meta")
    there, here = (
        {name: (each.shape, each.dtype) for name, each in (*module.named_parameters(), *module.named_buffers())}
        for module in (bare, made.module)
    )
    require(there == here, f"its tensors are {_listed(there)} on meta and {_listed(here)} elsewhere")
    for name, each in (*bare.named_parameters(), *bare.named_buffers()):
        require(each.is_meta, f"{name} is on {each.device} where the module is built on meta")
    found = call.cast(device="meta")(bare)
    require(found.is_meta, f"what comes out is on {found.device} where all that went in is on meta")
    require(found.shape == call(made.module).shape, f"the shape is {list(found.shape)} on meta")


def _listed(tensors: Mapping[str, tuple[torch.Size, torch.dtype]]) -> str:
    return ", ".join(f"{name} {list(shape)} {dtype}" for name, (shape, dtype) in tensors.items()) or "none"


@check("moves", slots=CALLS)
def moves(trial: Trial) -> None:
    """`.to()` moves everything: to another dtype, in which it gives nearly the same numbers, and to another device.

    A tensor that is a plain attribute stays behind, and so does one made in `forward` without saying where: register a
    buffer, and make new tensors on the device of the input.
    """
    made = trial.made()
    call = call_of(trial, made)
    expected = call(made.module).detach()
    narrow = call.cast(torch.float32)(copy.deepcopy(made.module).float())
    require(narrow.dtype == torch.float32, f"moved to float32, it gives {narrow.dtype}")
    if trial.subject.info.slot != "router":  # a rounded logit may send a position elsewhere
        same(narrow.double(), expected, "moved to float32", rtol=LOOSE, atol=LOOSE * (1 + _largest(expected)))
    wide = call(made.again(dtype=torch.float32).double())
    require(wide.dtype == torch.float64, f"built in float32 and moved to float64, it gives {wide.dtype}")
    away = copy.deepcopy(made.module).to("meta")
    found = call.cast(device="meta")(away)
    require(found.is_meta, f"moved to meta, it gives something on {found.device}")


def _largest(tensor: Tensor) -> float:
    return float(tensor.abs().max()) if tensor.numel() else 0.0
