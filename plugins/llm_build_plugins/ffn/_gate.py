"""act(gate) · up, keeping nothing but its input for the way back. Legend: F hidden.

Gate and up come as one [..., 2F], the gate first, or as two [..., F].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import gelu, silu

aten = torch.ops.aten


def silu_gate(*parts: Tensor) -> Tensor:
    """[..., 2F], or two of [..., F] → [..., F]: silu(gate) · up."""
    return _gated(silu, _SiLUGate, parts)


def gelu_gate(*parts: Tensor) -> Tensor:
    """[..., 2F], or two of [..., F] → [..., F]: gelu(gate) · up."""
    return _gated(gelu, _GELUGate, parts)


def _gated(act: Callable[[Tensor], Tensor], function: Any, parts: Sequence[Tensor]) -> Tensor:
    if torch.compiler.is_compiling():  # a compiler fuses the plain form, both ways
        gate, up = _halves(parts)
        return act(gate) * up
    y: Tensor = function.apply(*parts)
    return y


class _SiLUGate(torch.autograd.Function):
    """The plain form would keep silu(gate) beside gate and up, and put the two gradients together by a copy."""

    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> Tensor:
        ctx.save_for_backward(*parts)
        gate, up = _halves(parts)
        return silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        parts = ctx.saved_tensors  # once: activation checkpointing gives them out a single time
        gate, up = _halves(parts)
        grads = tuple(torch.empty_like(each) for each in parts)
        to_gate, to_up = _halves(grads)
        acted = silu(gate)
        torch.mul(grad, acted, out=to_up)
        torch.mul(grad, up, out=acted)  # its room is free now
        aten.silu_backward.grad_input(acted, gate, grad_input=to_gate)
        return grads


class _GELUGate(torch.autograd.Function):
    """As `_SiLUGate`."""

    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> Tensor:
        ctx.save_for_backward(*parts)
        gate, up = _halves(parts)
        return gelu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        parts = ctx.saved_tensors  # once: activation checkpointing gives them out a single time
        gate, up = _halves(parts)
        grads = tuple(torch.empty_like(each) for each in parts)
        to_gate, to_up = _halves(grads)
        acted = gelu(gate)
        torch.mul(grad, acted, out=to_up)
        torch.mul(grad, up, out=acted)  # its room is free now
        aten.gelu_backward.grad_input(acted, gate, grad_input=to_gate)
        return grads


def _halves(parts: Sequence[Tensor]) -> Sequence[Tensor]:
    return parts if len(parts) == 2 else parts[0].chunk(2, dim=-1)
