"""Products of few rows as kernels of a GPU: each weight is read once, in as few bytes as it has.

`_sum` adds up in vectors, a row at a time; `_dot` makes all rows of one matrix on tensor cores, which pad them.
Legend: R rows, O outputs, I inputs, X matrices of a bank.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from llm_build import launches_early

LEAST_ROWS = 16
"""Tensor cores take no fewer."""
LARGE = 8_192
"""From so many outputs on there are enough programs for a GPU, and smaller ones are faster."""
NEVER, WAIT, READ = 0, 1, 2
"""What a program does before the kernel ahead of it is done: it is not there, it waits, it reads its first weights."""


class Tile(NamedTuple):
    """How a product is taken.

    width, depth  a program reads so many outputs, and so many inputs of each at a time
    dot           by `_dot`, else by `_sum`
    early         a program begins before the kernel ahead of it is done
    """

    width: int
    depth: int
    warps: int
    stages: int = 1
    dot: bool = False
    early: bool = False


def tile(outputs: int, inputs: int, rows: int, size: int) -> Tile:
    """The tile for a matrix [O, I] of numbers of `size` bytes that `rows` rows share.

    Measured on an H100 by `tools/bench/products.py --tune`.
    """
    large = outputs > LARGE
    if rows > 1:
        whole, bytes_ = Tile(16, 512, 2, 3, dot=True, early=True), Tile(32, 256, 4, 5, dot=True, early=True)
        return whole if size > 1 else bytes_._replace(depth=512, warps=2, stages=3) if large else bytes_
    if size == 1:
        return Tile(2, 1_024, 2, 3, early=True) if large else Tile(4, 1_024, 4, 3, early=True)
    deep = min(triton.next_power_of_2(inputs), 2_048)
    return Tile(2, deep, 8, early=True) if large else Tile(4, deep, 4, early=True)


# Triton reads annotations as part of the program, and knows its own alone
@triton.jit  # type: ignore[untyped-decorator]
def _sum(  # type: ignore[no-untyped-def]
    x, weight, scale, bias, owner, y, rows, outputs, inputs, stride,
    width: tl.constexpr, depth: tl.constexpr, even: tl.constexpr, stages: tl.constexpr, early: tl.constexpr,
):  # fmt: skip
    """x [R, I] with rows `stride` apart, weight [O, I], or [X, O, I] and owner [R] → y [R, O].

    A program makes `width` outputs of a row.
    """
    if early == 1:
        gdc_wait()
        gdc_launch_dependents()
    # programs side by side read the same weights, if rows share them
    row = (tl.program_id(0) % rows).to(tl.int64)
    output = tl.program_id(0) // rows * width + tl.arange(0, width)
    # what is beyond the end reads the last output again: a mask would cost more
    which = tl.minimum(output, outputs - 1).to(tl.int64)
    if owner is not None:
        which += tl.load(owner + row) * outputs
    matrix = weight + which[:, None] * inputs
    total = tl.zeros((width, depth), tl.float32)
    for start in tl.range(0, inputs, depth, num_stages=stages):
        place = start + tl.arange(0, depth)[None]
        there = place < inputs
        if even:
            weights = tl.load(matrix + place, eviction_policy="evict_first")
        else:
            weights = tl.load(matrix + place, mask=there, other=0, eviction_policy="evict_first")
        if early == 2:
            gdc_wait()
            gdc_launch_dependents()
        part = tl.load(x + row * stride + place) if even else tl.load(x + row * stride + place, mask=there, other=0)
        total += weights.to(tl.float32) * part.to(tl.float32)
    made = tl.sum(total, 1)
    if scale is not None:
        made *= tl.load(scale + which)
    if bias is not None:
        made += tl.load(bias + which).to(tl.float32)
    tl.store(y + row * outputs + output, made, mask=output < outputs)


@triton.jit  # type: ignore[untyped-decorator]
def _dot(  # type: ignore[no-untyped-def]
    x, weight, scale, bias, y, rows, outputs, inputs, stride, height: tl.constexpr,
    width: tl.constexpr, depth: tl.constexpr, even: tl.constexpr, stages: tl.constexpr, early: tl.constexpr,
):  # fmt: skip
    """x [R, I] with rows `stride` apart, weight [O, I] → y [R, O].

    A program makes `width` outputs of all rows, `height` at most.
    """
    if early:
        gdc_wait()
        gdc_launch_dependents()
    row = tl.arange(0, height)[None].to(tl.int64)
    output = tl.program_id(0) * width + tl.arange(0, width)
    which = tl.minimum(output, outputs - 1).to(tl.int64)
    matrix = weight + which[:, None] * inputs
    total = tl.zeros((width, height), tl.float32)
    for start in tl.range(0, inputs, depth, num_stages=stages):
        place = start + tl.arange(0, depth)
        if even:
            weights = tl.load(matrix + place[None], eviction_policy="evict_first")
            part = tl.load(x + row * stride + place[:, None], mask=row < rows, other=0)
        else:
            there = place < inputs
            weights = tl.load(matrix + place[None], mask=there[None], other=0, eviction_policy="evict_first")
            part = tl.load(x + row * stride + place[:, None], mask=(row < rows) & there[:, None], other=0)
        total = tl.dot(weights.to(part.dtype), part, total)
    if scale is not None:
        total *= tl.load(scale + which)[:, None]
    if bias is not None:
        total += tl.load(bias + which).to(tl.float32)[:, None]
    tl.store(y + row * outputs + output[:, None], total, mask=(row < rows) & (output[:, None] < outputs))


def launch(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    scale: Tensor | None,
    owner: Tensor | None,
    dtype: torch.dtype,
    steady: bool,
    chosen: Tile | None = None,
) -> Tensor:
    """See `_thin.product`. `steady`: no kernel shortly before writes the weights; `chosen` is for measuring."""
    x = x if x.stride(-1) == 1 else x.contiguous()
    rows, (outputs, inputs) = len(x), weight.shape[-2:]
    y = x.new_empty(rows, outputs, dtype=dtype)
    sharing = rows if owner is None else 1
    width, depth, warps, stages, dot, wanted = chosen or tile(outputs, inputs, sharing, weight.element_size())
    early = WAIT if wanted and launches_early(x.device) else NEVER
    sizes, shape = (rows, outputs, inputs, x.stride(0)), (width, depth, inputs % depth == 0, stages)
    programs = triton.cdiv(outputs, width)
    options = {"num_warps": warps, **({"launch_pdl": True} if early else {})}
    if dot:
        height = max(LEAST_ROWS, triton.next_power_of_2(rows))
        _dot[programs,](x, weight, scale, bias, y, *sizes, height, *shape, early, **options)
    else:
        # who the owner is, the kernel before may have said; a pipeline would read x as early as the weights
        early = READ if early and steady and owner is None and stages == 1 else early
        _sum[programs * rows,](x, weight, scale, bias, owner, y, *sizes, *shape, early, **options)
    return y
