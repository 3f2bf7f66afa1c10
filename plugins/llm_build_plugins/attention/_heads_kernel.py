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
    x, matrices, y, length, heads, outputs, inputs, x_row, x_place, x_head, x_input, of_head, of_output, of_input,
    width: tl.constexpr, depth: tl.constexpr, early: tl.constexpr, steady: tl.constexpr,
):  # fmt: skip
    """`width` outputs of a head at one place of a row."""
    if early and not steady:
        gdc_wait()
        gdc_launch_dependents()
    place, head = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    output, number = tl.program_id(2) * width + tl.arange(0, width), tl.arange(0, depth)
    there = (output < outputs)[:, None] & (number < inputs)[None]
    at = matrices + head * of_head + output[:, None] * of_output + number[None] * of_input
    weights = tl.load(at, mask=there, other=0).to(tl.float32)
    if early and steady:
        gdc_wait()
        gdc_launch_dependents()
    first = x + place // length * x_row + place % length * x_place + head * x_head
    part = tl.load(first + number * x_input, mask=number < inputs, other=0).to(tl.float32)
    made = tl.sum(weights * part[None], 1)
    tl.store(y + (place * heads + head) * outputs + output, made, mask=output < outputs)


def launch(x: Tensor, matrices: Tensor, steady: bool) -> Tensor:
    """See `_heads.head_by_head`; sums are float32."""
    (rows, length, heads, inputs), outputs = x.shape, matrices.shape[1]
    y = x.new_empty(rows, length, heads, outputs)
    depth = triton.next_power_of_2(inputs)
    width = max(1, NUMBERS // depth)
    early = launches_early(x.device)
    _kernel[rows * length, heads, triton.cdiv(outputs, width)](
        x, matrices, y, length, heads, outputs, inputs, *x.stride(), *matrices.stride(), width, depth, early, steady,
        num_warps=4, **({"launch_pdl": True} if early else {}),
    )  # fmt: skip
    return y


head_product = torch.library.custom_op("llm_build::head_product", launch, mutates_args=())


@head_product.register_fake
def _(x: Tensor, matrices: Tensor, _steady: bool) -> Tensor:
    return x.new_empty(*x.shape[:3], matrices.shape[1])
