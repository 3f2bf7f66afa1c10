"""A rotation as one kernel of a GPU, for models that write: torch's own operations are eight, each a launch.

Legend: B rows, T positions, H heads, E head dim, R dimensions of a head that rotate.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from llm_build import launches_early

NUMBERS = 1024
"""How many numbers a program rotates at most."""


# Triton reads annotations as part of the program, and knows its own alone
@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    x, positions, frequencies, y, length, heads, width, rotated, amplitude,
    row_stride, place_stride, head_stride, position_row_stride, position_stride,
    interleaved: tl.constexpr, tall: tl.constexpr, wide: tl.constexpr, early: tl.constexpr,
):  # fmt: skip
    """One place of one row and `tall` of its heads: x [B, T, H, E], positions [B, T], frequencies [R] → y."""
    if early:
        gdc_wait()
        gdc_launch_dependents()
    row, place = tl.program_id(0).to(tl.int64) // length, tl.program_id(0).to(tl.int64) % length
    head = tl.program_id(1) * tall + tl.arange(0, tall)[:, None]
    number = tl.arange(0, wide)[None]
    there, turns = (head < heads) & (number < width), number < rotated
    partner = number ^ 1 if interleaved else (number + rotated // 2) % rotated
    first = x + row * row_stride + place * place_stride + head * head_stride
    value = tl.load(first + number, mask=there, other=0)
    other = tl.load(first + partner, mask=there & turns, other=0)
    position = tl.load(positions + row * position_row_stride + place * position_stride).to(tl.float32)
    angle = position * tl.load(frequencies + number, mask=turns, other=0)
    # rounded where torch's operations round
    cos, sin = (tl.cos(angle) * amplitude).to(value.dtype), (tl.sin(angle) * amplitude).to(value.dtype)
    part = (value.to(tl.float32) * cos.to(tl.float32)).to(value.dtype).to(tl.float32)
    turned = (part + other.to(tl.float32) * sin.to(tl.float32)).to(value.dtype)
    at = (tl.program_id(0).to(tl.int64) * heads + head) * width + number
    tl.store(y + at, tl.where(turns, turned, value), mask=there)


def rotate(x: Tensor, positions: Tensor, frequencies: Tensor, amplitude: float, interleaved: bool) -> Tensor:
    """x [B, T, H, E], positions [B, T], frequencies [R] float32 → [B, T, H, E]; the last axis of x is dense."""
    rows, length, heads, width = x.shape
    y = x.new_empty(x.shape)
    wide = triton.next_power_of_2(width)
    tall = min(triton.next_power_of_2(heads), max(1, NUMBERS // wide))
    positions = positions.expand(rows, length)
    strides, sizes = (*x.stride()[:3], *positions.stride()), (length, heads, width, len(frequencies))
    early = launches_early(x.device)
    options = {"launch_pdl": True} if early else {}
    grid = (rows * length, triton.cdiv(heads, tall))
    _kernel[grid](x, positions, frequencies, y, *sizes, amplitude, *strides, interleaved, tall, wide, early, **options)
    return y
