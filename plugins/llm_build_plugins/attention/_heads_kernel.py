"""Products of few positions, each head's with a matrix of its own, as a kernel of a GPU that reads each weight once a
position. Legend: B rows, T positions, H heads, I inputs, O outputs."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from llm_build import launches_early

NUMBERS = 4096
"""How many weights a program reads."""


# Triton reads annotations as part of the program, and knows its own alone
@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    x, matrices, beside, y, length, heads, outputs, inputs, more, parts,
    x_row, x_place, x_head, x_input, of_head, of_output, of_input, by_row, by_place, by_head, by_number,
    width: tl.constexpr, depth: tl.constexpr, rest: tl.constexpr, early: tl.constexpr, steady: tl.constexpr,
):  # fmt: skip
    """`width` outputs of a head at one place of a row; behind these, the last program puts what is beside."""
    if early and not steady:
        gdc_wait()
        gdc_launch_dependents()
    place, head, part = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64), tl.program_id(2)
    row, at = place // length, place % length
    output, number = part * width + tl.arange(0, width), tl.arange(0, depth)
    there = (output < outputs)[:, None] & (number < inputs)[None]
    weights = tl.load(
        matrices + head * of_head + output[:, None] * of_output + number[None] * of_input, mask=there, other=0
    ).to(tl.float32)
    if early and steady:
        gdc_wait()
        gdc_launch_dependents()
    first = x + row * x_row + at * x_place + head * x_head
    value = tl.load(first + number * x_input, mask=number < inputs, other=0).to(tl.float32)
    to = y + (place * heads + head) * (outputs + more)
    tl.store(to + output, tl.sum(weights * value[None], 1), mask=output < outputs)
    if rest > 0:
        last = tl.arange(0, rest)
        mine = (last < more) & (part == parts - 1)
        first = beside + row * by_row + at * by_place + head * by_head
        tl.store(to + outputs + last, tl.load(first + last * by_number, mask=mine, other=0), mask=mine)


def launch(x: Tensor, matrices: Tensor, beside: Tensor | None, steady: bool) -> Tensor:
    """See `_heads.head_by_head`; sums are float32."""
    (rows, length, heads, inputs), outputs = x.shape, matrices.shape[1]
    more = 0 if beside is None else beside.shape[-1]
    y = x.new_empty(rows, length, heads, outputs + more)
    depth = triton.next_power_of_2(inputs)
    width = max(1, NUMBERS // depth)
    parts = triton.cdiv(outputs, width)
    early, rest = launches_early(x.device), triton.next_power_of_2(more) if more else 0
    other = x if beside is None else beside
    _kernel[rows * length, heads, parts](
        x, matrices, other, y, length, heads, outputs, inputs, more, parts,
        *x.stride(), *matrices.stride(), *other.stride(),
        width, depth, rest, early, steady, num_warps=4, **({"launch_pdl": True} if early else {}),
    )  # fmt: skip
    return y


head_product = torch.library.custom_op("llm_build::head_product", launch, mutates_args=())


@head_product.register_fake
def _(x: Tensor, matrices: Tensor, beside: Tensor | None, _steady: bool) -> Tensor:
    return x.new_empty(*x.shape[:3], matrices.shape[1] + (0 if beside is None else beside.shape[-1]))
