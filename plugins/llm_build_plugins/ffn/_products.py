"""Rows times the matrix of their own expert, three ways. Legend: R rows, X experts, M blocks of S rows each.

Each keeps only its inputs for the way back, and writes the gradient of a whole bank once: an expert without rows gets
a gradient of exactly 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import grouped_mm


class Sliced(torch.autograd.Function):
    """x [R, in] sorted by expert, weight [X, out, in], bias [X, out] → [R, out]: one product an expert.

    `ends` says on the host where each expert's rows end.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, ends: Sequence[int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.ends = ends
        y = x.new_empty(len(x), weight.shape[1])
        for expert, rows in enumerate(slices(ends)):
            if rows.start == rows.stop:
                continue
            if bias is None:
                torch.mm(x[rows], weight[expert].t(), out=y[rows])
            else:
                torch.addmm(bias[expert], x[rows], weight[expert].t(), out=y[rows])
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        to_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        to_weight = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        to_bias = grad.new_empty(weight.shape[:2]) if ctx.needs_input_grad[2] else None
        idle = []
        for expert, rows in enumerate(slices(ctx.ends)):
            if rows.start == rows.stop:
                idle.append(expert)
                continue
            if to_x is not None:
                torch.mm(grad[rows], weight[expert], out=to_x[rows])
            if to_weight is not None:
                torch.mm(grad[rows].t(), x[rows], out=to_weight[expert])
            if to_bias is not None:
                torch.sum(grad[rows], 0, out=to_bias[expert])
        if idle:
            for each in (to_weight, to_bias):
                if each is not None:
                    each.index_fill_(0, torch.tensor(idle, device=grad.device), 0)
        return to_x, to_weight, to_bias, None


class Grouped(torch.autograd.Function):
    """The same in one kernel. bfloat16, and `in` and `out` a multiple of 8.

    On the device: `ends` [X] int32, where each expert's rows end, and `owner` [R], whose each row is.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, ends: Tensor, owner: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, ends, owner)
        y: Tensor = grouped_mm(x, weight.mT, offs=ends)
        # a product, since the way back of an indexed bias would sort
        return y if bias is None else y.addmm_(member(owner, weight).mT, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, ends, owner = ctx.saved_tensors
        grad = grad.contiguous()
        to_x = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            to_x = grouped_mm(grad, weight, offs=ends)
        if ctx.needs_input_grad[1]:
            to_weight = grouped_mm(grad.mT, x, offs=ends)
            # some devices leave what was in memory where an expert has no rows
            empty = torch.diff(ends, prepend=ends.new_zeros(1)) == 0
            to_weight.masked_fill_(empty[:, None, None], 0)
        if ctx.needs_input_grad[2]:
            to_bias = member(owner, weight) @ grad
        return to_x, to_weight, to_bias, None, None


class Blocked(torch.autograd.Function):
    """x [M · S, in], weight [X, out, in], bias [X, out], owner [M] → [M · S, out]: block m is expert owner[m]'s.

    One batched product over matrices that are gathered block by block, on the way back anew.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, owner: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, owner)
        blocks = x.unflatten(0, (len(owner), -1))
        matrices = picked(weight, owner).mT  # [M, in, out]
        if bias is None:
            return torch.bmm(blocks, matrices).flatten(0, 1)
        return torch.baddbmm(bias.index_select(0, owner)[:, None], blocks, matrices).flatten(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, owner = ctx.saved_tensors
        blocks, grads = (each.unflatten(0, (len(owner), -1)) for each in (x, grad))
        to_x = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            to_x = torch.bmm(grads, picked(weight, owner)).flatten(0, 1)
        if ctx.needs_input_grad[1]:
            # a product adds up an expert's blocks in a fixed order
            to_weight = (member(owner, weight) @ torch.bmm(grads.mT, blocks).flatten(1)).view_as(weight)
        if ctx.needs_input_grad[2]:
            to_bias = member(owner, weight) @ grads.sum(1)
        return to_x, to_weight, to_bias, None


def slices(ends: Sequence[int]) -> Iterator[slice]:
    """The rows of each expert."""
    return itertools.starmap(slice, itertools.pairwise((0, *ends)))


def picked(weight: Tensor, owner: Tensor) -> Tensor:
    """weight [X, …], owner [M] → [M, …], read 8 bytes at a time: a GPU reads one number at a time far more slowly."""
    flat = weight.flatten(1)
    if flat.shape[1] * flat.element_size() % 8 or not flat.is_contiguous():
        return weight.index_select(0, owner)
    wide: Tensor = flat.view(torch.int64).index_select(0, owner).view(flat.dtype)
    return wide.view(len(owner), *weight.shape[1:])


def member(owner: Tensor, weight: Tensor) -> Tensor:
    """owner [R], weight [X, …] → [X, R], in the dtype of `weight`: 1 where a row is an expert's."""
    experts = torch.arange(len(weight), device=owner.device)
    return (owner == experts[:, None]).to(weight.dtype)
