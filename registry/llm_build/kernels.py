"""What whoever launches or compiles kernels of his own needs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.util import find_spec
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

HAS_TRITON = find_spec("triton") is not None
"""Whether the language of our kernels is there: torch for CUDA brings Triton on Linux, and nowhere else."""


@functools.cache
def launches_early(place: torch.device) -> bool:
    """Whether a kernel on it may begin before the one ahead of it is done: Triton's `launch_pdl`.

    Such a kernel calls `gdc_wait` before it reads what others wrote, and only then `gdc_launch_dependents`: so whatever
    begins early finds all but the latest kernel done. Source: CUDA C++ Programming Guide, "Programmatic Dependent
    Launch and Synchronization".
    """
    return place.type == "cuda" and torch.version.hip is None and torch.cuda.get_device_capability(place)[0] >= 9


def is_traced(x: Tensor) -> bool:
    """Whether what is done with x is recorded, or is done with other numbers than its own: then only an operator of
    torch can be called. A launch beside torch's dispatcher is cheaper where nobody looks."""
    if torch.compiler.is_compiling():
        return True
    return type(x) not in (Tensor, nn.Parameter) or torch._C._len_torch_dispatch_stack() > 0


def with_own_code(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A copy of a plain function with code of its own: torch keeps by the code what it compiled, which sizes have
    changed, and how often; by the code's name too."""
    assert isinstance(call, FunctionType), "only a plain function has code that can be copied"
    code = call.__code__.replace(co_name=name, co_qualname=name)
    return FunctionType(code, call.__globals__, name)
