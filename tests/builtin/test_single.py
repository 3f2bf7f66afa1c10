"""The product of one row on a CPU, which a step takes where it pays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from llm_build_plugins._single import LEAST, PARTS, single
from llm_build_plugins._thin import thin_products

pytestmark = pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="needs torch with MKL")
OUTPUTS, INPUTS = LEAST // 128, 128


class _Products(TorchDispatchMode):
    """The shapes of what products give."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm):
            self.shapes.append(tuple(made.shape))
        return made


def products(x: Tensor, grad: bool = False, outputs: int = OUTPUTS) -> list[tuple[int, ...]]:
    linear = nn.Linear(INPUTS, outputs, dtype=x.dtype)
    with _Products() as seen, thin_products(), torch.set_grad_enabled(grad):
        y = linear(x)
    torch.testing.assert_close(y, linear(x))
    return seen.shapes


@pytest.mark.parametrize("lead", [(), (1,), (1, 1)])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("outputs", [OUTPUTS, OUTPUTS + 2])
def test_it_is_the_product(lead: tuple[int, ...], has_bias: bool, outputs: int) -> None:
    x, weight = torch.randn(*lead, INPUTS), torch.randn(outputs, INPUTS)
    bias = torch.randn(outputs) if has_bias else None
    torch.testing.assert_close(single(x, weight, bias), nn.functional.linear(x, weight, bias), rtol=1e-5, atol=1e-4)


def test_a_step_of_one_row_takes_it_and_no_other_does() -> None:
    taken = [(PARTS, OUTPUTS // PARTS, 1)]
    assert products(torch.randn(1, 1, INPUTS)) == taken
    assert products(torch.randn(2, 1, INPUTS)) != taken
    assert products(torch.randn(1, 1, INPUTS).double()) != taken
    assert products(torch.randn(1, 1, INPUTS), grad=True) != taken
    assert products(torch.randn(1, 1, INPUTS), outputs=OUTPUTS // 2) == [(1, OUTPUTS // 2)], "too small"
    assert products(torch.randn(1, 1, INPUTS), outputs=OUTPUTS + 1) == [(1, OUTPUTS + 1)], "odd"


def test_what_no_linear_map_takes_is_still_refused() -> None:
    """As many numbers as a row has, in two."""
    linear = nn.Linear(INPUTS, OUTPUTS)
    with torch.no_grad(), thin_products(), pytest.raises(RuntimeError, match="cannot be multiplied"):
        linear(torch.randn(2, INPUTS // 2))
