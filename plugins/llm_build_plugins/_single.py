"""The product of one row on a CPU. Legend: O outputs, I inputs.

Torch takes one row as a matrix by a vector, in a loop that no second thread joins and that is slower than memory. Of
several matrices each thread takes some, by a faster loop.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LEAST = 2**16
"""Weights from which on the detour pays."""
PARTS = 8
"""Into so many a matrix is cut, or as many of them as divide its outputs."""


def is_single(x: Tensor, weight: Tensor) -> bool:
    """Whether `single` is the faster way for x [..., I] and weight [O, I]: one row of float32 on a CPU, no gradient."""
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and type(weight) in (Tensor, nn.Parameter)
        and weight.numel() >= LEAST
        and weight.dim() == 2
        and len(weight) % 2 == 0
        and x.numel() == x.shape[-1] == weight.shape[-1]
        and weight.is_contiguous()
        and torch.backends.mkl.is_available()
        and not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
    )


def single(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [..., I] of one row → [..., O]: weight · x + bias, some outputs at a time."""
    parts = math.gcd(len(weight), PARTS)
    column = x.reshape(1, -1).t()  # a row seen as a column: torch has no fast loop for a column of its own
    y = torch.bmm(weight.view(parts, -1, weight.shape[1]), column.expand(parts, -1, 1)).view(-1)
    return (y if bias is None else y + bias).view(*x.shape[:-1], -1)
