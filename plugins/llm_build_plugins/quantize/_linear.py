"""A linear map whose matrix has 8 bits a weight. Legend: R rows, O outputs, I inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from llm_build_plugins._thin import HALF, fits, product

FEW_ON_CPU = 4
ALIGNED_ON_CPU = 64
"""Torch's kernel for a CPU reads several inputs at a time, and beyond the end where they do not come out even."""


class Int8Linear(nn.Module):
    """x [..., I] → [..., O]: (x · matrixᵀ) · scale + bias; matrix [O, I] int8, scale [O] in float32 or wider."""

    matrix: Tensor
    scale: Tensor

    def __init__(self, matrix: Tensor, scale: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.register_buffer("matrix", matrix)
        self.register_buffer("scale", scale)
        self.bias = bias if bias is None or isinstance(bias, nn.Parameter) else nn.Parameter(bias)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None) -> Int8Linear:
        """weight [O, I], bias [O] → the map. A row of zeros stays one; what is no number stays none."""
        wide = weight.detach().to(torch.promote_types(weight.dtype, torch.float32))
        largest = wide.abs().amax(1)
        scale = torch.where(largest == 0, 1, largest / 127)
        matrix = (wide / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
        return cls(matrix, scale, bias, weight.dtype)

    @property
    def weight(self) -> Tensor:
        """[O, I], for who reads the matrix itself: made anew each time."""
        return (self.matrix * self.scale[:, None]).to(self.dtype)

    def forward(self, x: Tensor) -> Tensor:
        if fits(x, self.matrix, self.bias):
            return product(x, self.matrix, self.bias, scale=self.scale)
        y = self._product(x)
        return y if self.bias is None else y + self.bias.to(y.dtype)

    def _product(self, x: Tensor) -> Tensor:
        inputs = self.matrix.shape[1]
        rows = x.numel() // inputs
        if x.dtype in HALF and x.device.type == "cpu" and rows <= FEW_ON_CPU and inputs % ALIGNED_ON_CPU == 0:
            flat = x.reshape(rows, inputs).contiguous()
            y: Tensor = torch._weight_int8pack_mm(flat, self.matrix, self.scale.to(x.dtype))
            return y.view(*x.shape[:-1], -1)
        if x.dtype == torch.float16:
            # sums of whole numbers would be beyond float16 long before what they stand for is
            return linear(x, (self.matrix * self.scale[:, None]).to(x.dtype))
        y = linear(x, self.matrix.to(x.dtype))
        return (y * self.scale).to(y.dtype)

    def extra_repr(self) -> str:
        outputs, inputs = self.matrix.shape
        return f"in_features={inputs}, out_features={outputs}, bias={self.bias is not None}"
