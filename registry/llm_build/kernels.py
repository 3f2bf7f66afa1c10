"""What whoever launches a kernel of his own asks first."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn


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
