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


def _saving(act: Callable[[Tensor], Tensor], way_back: Callable[..., Tensor]) -> type[torch.autograd.Function]:
    """act(gate) · up, where `way_back` is what act does to a gradient.

    The plain form would keep act(gate) beside gate and up, and put the two gradients together by a copy.
    """

    class Gate(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *parts: Tensor) -> Tensor:
            ctx.save_for_backward(*parts)
            gate, up = _halves(parts)
            return act(gate).mul_(up)

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
            parts = ctx.saved_tensors  # once: activation checkpointing gives them out a single time
            gate, up = _halves(parts)
            grads = tuple(torch.empty_like(each) for each in parts)
            to_gate, to_up = _halves(grads)
            acted = act(gate)
            torch.mul(grad, acted, out=to_up)
            torch.mul(grad, up, out=acted)  # its room is free now
            way_back(acted, gate, grad_input=to_gate)
            return grads

    return Gate


def _halves(parts: Sequence[Tensor]) -> Sequence[Tensor]:
    return parts if len(parts) == 2 else parts[0].chunk(2, dim=-1)


_SiLUGate = _saving(silu, aten.silu_backward.grad_input)
_GELUGate = _saving(gelu, aten.gelu_backward.grad_input)
