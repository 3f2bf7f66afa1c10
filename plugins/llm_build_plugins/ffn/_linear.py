"""The linear maps of a feed-forward network: one, or a bank of one an expert. Legend: R rows, X experts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from llm_build import VECTOR, ParameterGroup

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build.interfaces import Groups


def linear(
    context: Context, inputs: int, outputs: int, *, bias: bool, residual: bool = False
) -> nn.Linear | GroupedLinear:
    """A linear map, or a bank of `context.experts` of them; `residual`: it writes into the residual stream."""
    made: nn.Linear | GroupedLinear
    if context.experts is None:
        made = nn.Linear(inputs, outputs, bias=bias)
    else:
        made = GroupedLinear(context.experts, inputs, outputs, bias=bias)
    made.writes_residual = residual
    return made


class GroupedLinear(nn.Module):
    """A linear map an expert: weight [X, out, in], bias [X, out]. x [R, in] → [R, out], each row by its expert's."""

    parameter_groups: ClassVar[Mapping[str, ParameterGroup]] = {"weight": ParameterGroup(), "bias": VECTOR}
    writes_residual: bool = False

    def __init__(self, experts: int, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__()
        # as torch draws an nn.Linear; a model's initialiser draws anew
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(experts, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(experts, outputs).uniform_(-bound, bound)) if bias else None

    def initialise(self, draw: Callable[..., None]) -> None:
        draw(self.weight, residual=self.writes_residual)
        if self.bias is not None:
            self.bias.zero_()

    def extra_repr(self) -> str:
        experts, outputs, inputs = self.weight.shape
        return f"experts={experts}, in_features={inputs}, out_features={outputs}, bias={self.bias is not None}"

    def forward(self, x: Tensor, groups: Groups) -> Tensor:
        return groups.linear(x, self.weight, self.bias)

    def halves(self, x: Tensor, groups: Groups) -> tuple[Tensor, ...]:
        """x [R, in] → [R, out], or its two halves where apart is faster."""
        return groups.halves(x, self.weight, self.bias)
