"""Products of few rows, where reading the matrix is what takes the time: when the kernels of `_thin_kernel` take them.

Legend: R rows, O outputs, I inputs, X matrices of a bank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses import FakeTensor
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

from llm_build import HAS_TRITON, is_traced
from llm_build_plugins._autocast import autocasts
from llm_build_plugins._single import is_single, single

HALF = (torch.bfloat16, torch.float16)
DEVICES = ("cuda",) if HAS_TRITON else ()
PLAIN = (Tensor, nn.Parameter, FakeTensor)
"""A tensor of another type may hold its numbers in its own way."""
FEW, FEW_OF_BYTES = 16, 32
"""Up to so many rows of one matrix, in half precision and in bytes; above, the kernels that torch has are faster."""


def fits(x: Tensor, weight: Tensor, bias: Tensor | None, owner: Tensor | None = None) -> bool:
    """Whether `product` takes x [..., I], weight [O, I] and bias [O], or those of a bank [X, …] with owners [R].

    In half precision on a GPU, few rows, whole matrices, and nothing that needs a gradient.
    """
    inputs = weight.shape[-1]
    most = len(owner) if owner is not None else FEW_OF_BYTES if weight.dtype == torch.int8 else FEW
    return (
        x.device.type in DEVICES
        and x.dtype in HALF
        and weight.device == x.device
        and weight.dtype in (x.dtype, torch.int8)
        and type(weight) in PLAIN
        and weight.dim() == (2 if owner is None else 3)
        and weight.is_contiguous()
        and weight.numel() > 0
        and x.shape[-1] == inputs
        and 0 < x.numel() <= inputs * most
        and not (torch.is_grad_enabled() and any(each.requires_grad for each in (x, weight, bias) if each is not None))
    )


def product(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    scale: Tensor | None = None,
    owner: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """x [..., I] → [..., O], in the dtype of x or the given one: y[r] = scale · (weight · x[r]) + bias.

    weight [O, I], bias [O] and scale [O], or those of a bank [X, …], of which row r has `owner`[r] int64. Sums are
    float32. See `fits`.
    """
    steady = isinstance(weight, nn.Parameter)
    operation = _launched if x.is_cuda and not is_traced(x) else _product
    y: Tensor = operation(x.reshape(-1, x.shape[-1]), weight, bias, scale, owner, dtype or x.dtype, steady)
    return y.view(*x.shape[:-1], -1)


def _launched(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    scale: Tensor | None,
    owner: Tensor | None,
    dtype: torch.dtype,
    steady: bool,
) -> Tensor:
    from llm_build_plugins._thin_kernel import launch  # triton comes with torch where there is a GPU

    return launch(x, weight, bias, scale, owner, dtype, steady)


_product = torch.library.custom_op("llm_build::thin_product", _launched, mutates_args=(), device_types="cuda")


@_product.register_kernel("cpu")
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    scale: Tensor | None,
    owner: Tensor | None,
    dtype: torch.dtype,
    _steady: bool,
) -> Tensor:
    """What it is, with every row's matrix written out."""
    if owner is not None:
        weight = weight.index_select(0, owner)
        scale, bias = (None if each is None else each.index_select(0, owner) for each in (scale, bias))
    y = torch.einsum("ri,oi->ro" if owner is None else "ri,roi->ro", x.float(), weight.float())
    y = y if scale is None else y * scale
    return (y if bias is None else y + bias).to(dtype)


@_product.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    _bias: Tensor | None,
    _scale: Tensor | None,
    _owner: Tensor | None,
    dtype: torch.dtype,
    _steady: bool,
) -> Tensor:
    return x.new_empty(len(x), weight.shape[-2], dtype=dtype)


class _Thin(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], _types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return (_linear if func is linear else func)(*args, **(kwargs or {}))


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if fits(input, weight, bias) and not autocasts(input.device.type):
        return product(input, weight, bias)
    if is_single(input, weight) and not autocasts(input.device.type):
        return single(input, weight, bias)
    return linear(input, weight, bias)


@contextmanager
def thin_products(rows: Tensor | None = None) -> Iterator[None]:
    """Every `nn.functional.linear` within, and so every `nn.Linear`, is a `product` where that fits.

    `rows` has a number for each row that all of them take. Looking at each operation takes the host some microseconds,
    so nobody looks where none would fit. torch.compile cannot trace all that it otherwise can within: what is compiled
    takes `thinned` instead.
    """
    most = FEW_OF_BYTES if rows is not None and rows.device.type in DEVICES else 1
    with _Thin() if rows is None or rows.numel() <= most else nullcontext():
        yield


def thinned(module: fx.GraphModule) -> fx.GraphModule:
    """A graph that torch.compile traced, for its backend: the same in place, of sizes that are known."""
    for node in list(module.graph.nodes):
        if node.op == "call_function" and node.target is linear:
            _thin_node(node)
    module.graph.lint()
    module.recompile()
    return module


def _thin_node(node: fx.Node) -> None:
    given: Any = node  # whose arguments are nodes
    x, weight, bias = _operands(*given.args, **given.kwargs)
    of_x, of_weight, of_bias = (None if each is None else each.meta.get("example_value") for each in (x, weight, bias))
    y = node.meta.get("example_value")
    if of_x is None or of_weight is None or y is None or not all(isinstance(each, int) for each in of_x.shape):
        return
    if not fits(of_x, of_weight, of_bias) or y.dtype != of_x.dtype:
        return
    graph, steady = node.graph, isinstance(of_weight, nn.Parameter)
    with graph.inserting_before(node):
        rows = graph.call_function(torch.reshape, (x, (-1, of_x.shape[-1])))
        operator = torch.ops.llm_build.thin_product.default
        made = graph.call_function(operator, (rows, weight, bias, None, None, y.dtype, steady))
        shaped = graph.call_function(torch.reshape, (made, tuple(y.shape)))
    shaped.meta = node.meta.copy()
    node.replace_all_uses_with(shaped)
    graph.erase_node(node)


def _operands(input: fx.Node, weight: fx.Node, bias: fx.Node | None = None) -> tuple[fx.Node, fx.Node, fx.Node | None]:
    return input, weight, bias
