"""Positions to the rows of their experts and back. Legend: N positions, k experts each, R rows, D dim.

Both ways each is a gather; left to itself, the way back of a gather adds up by sorting.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Spread(torch.autograd.Function):
    """x [N, D], choice [R], place [N · k] → [R, D]: the position of each row's choice, or 0 where a row is nobody's.

    `choice` says which choice each row is, N · k = nobody's; `place` in which row each choice stands.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, choice: Tensor, place: Tensor, k: int) -> Tensor:
        ctx.save_for_backward(place)
        ctx.k = k
        return _gathered(x, choice // k, len(choice) > len(place))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (place,) = ctx.saved_tensors
        return grad.index_select(0, place).unflatten(0, (-1, ctx.k)).sum(1), None, None, None


class Collect(torch.autograd.Function):
    """y [R, D], choice [R], place [N · k] → [N · k, D]: the row of each choice."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, choice: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(choice)
        return y.index_select(0, place)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (choice,) = ctx.saved_tensors
        return _gathered(grad, choice, len(choice) > len(grad)), None, None


def _gathered(x: Tensor, index: Tensor, padded: bool) -> Tensor:
    """x [N, D], index [R] → [R, D]; where it is `padded`, x[N] is 0."""
    return (torch.cat((x, x.new_zeros(1, x.shape[1]))) if padded else x).index_select(0, index)
