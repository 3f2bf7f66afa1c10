"""A product with a matrix in 8 bits as one kernel of a GPU: each byte is read once, and widened on the way.

Torch's own products write the widened matrix to memory first, which takes longer than one in half precision.
Legend: R rows, O outputs, I inputs.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

OUTPUTS, INPUTS = 32, 256
"""The tile of the matrix that a program reads at a time; the fastest of those that were tried on an H100."""
LEAST_ROWS = 16
"""Tensor cores take no fewer."""


# Triton reads annotations as part of the program, and knows its own alone
@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    x, matrix, scale, y, rows, outputs, inputs, height: tl.constexpr, width: tl.constexpr, depth: tl.constexpr
):
    """x [R, I], matrix [O, I], scale [O] → y [R, O]: a program makes `width` outputs of all rows, `height` at most."""
    row = tl.arange(0, height)[:, None]
    output = tl.program_id(0) * width + tl.arange(0, width)
    total = tl.zeros((height, width), tl.float32)
    for start in range(0, inputs, depth):
        place = start + tl.arange(0, depth)[None]
        there = place < inputs
        part = tl.load(x + row * inputs + place, mask=(row < rows) & there, other=0)
        at = output[:, None].to(tl.int64) * inputs + place
        weights = tl.load(matrix + at, mask=(output[:, None] < outputs) & there, other=0)
        total = tl.dot(part, tl.trans(weights.to(part.dtype)), total)
    by = tl.load(scale + output, mask=output < outputs, other=0)
    real = (row < rows) & (output[None] < outputs)
    tl.store(y + row * outputs + output[None], total * by[None], mask=real)


@torch.library.custom_op("llm_build::int8_product", mutates_args=())
def _product(x: Tensor, matrix: Tensor, scale: Tensor) -> Tensor:
    rows, inputs = x.shape
    outputs = matrix.shape[0]
    y = x.new_empty(rows, outputs)
    grid = (triton.cdiv(outputs, OUTPUTS),)
    height = max(LEAST_ROWS, triton.next_power_of_2(rows))
    _kernel[grid](x, matrix, scale, y, rows, outputs, inputs, height, OUTPUTS, INPUTS, num_warps=4, num_stages=4)
    return y


@_product.register_fake
def _(x: Tensor, matrix: Tensor, _scale: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], matrix.shape[0])


def product(x: Tensor, matrix: Tensor, scale: Tensor) -> Tensor:
    """x [..., I] in half precision, matrix [O, I] int8, scale [O] float32 → [..., O]; R rows of x, few."""
    y: Tensor = _product(x.reshape(-1, x.shape[-1]).contiguous(), matrix, scale)
    return y.view(*x.shape[:-1], -1)
