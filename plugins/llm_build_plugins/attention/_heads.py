"""Each head times a matrix of its own. Legend: B rows, T positions, H heads, I inputs, O outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from llm_build import HAS_TRITON, is_traced
from llm_build_plugins._autocast import autocasts

HALF = (torch.bfloat16, torch.float16)
FEW, WIDEST = 2, 4096
"""Up to so many positions, and inputs, our own kernel is the faster one: tools/bench/products.py."""


def head_by_head(x: Tensor, matrices: Tensor, beside: Tensor | None = None, *, steady: bool = False) -> Tensor:
    """x [B, T, H, I], matrices [H, O, I] → [B, T, H, O], followed by what is `beside` [B, T, H, P] in each head.

    `steady`: no kernel shortly before writes `matrices`, so that they may be read before it is done.
    """
    if _fits(x, matrices, beside):
        from llm_build_plugins.attention._heads_kernel import head_product, launch  # triton comes with CUDA

        operation = head_product if is_traced(x) else launch
        made: Tensor = operation(x, matrices, beside, steady)
        return made
    y = torch.einsum("bthi,hoi->btho", x, matrices)
    return y if beside is None else torch.cat((y.to(beside.dtype), beside), dim=-1)


def _fits(x: Tensor, matrices: Tensor, beside: Tensor | None) -> bool:
    """Whether the kernel takes them: few positions in half precision on a GPU, and nothing needs a gradient."""
    return (
        HAS_TRITON
        and x.device.type == "cuda"
        and x.dtype in HALF
        and x.dtype == matrices.dtype
        and (beside is None or (beside.dtype == x.dtype and beside.shape[-1] <= WIDEST))
        and 0 < x.shape[0] * x.shape[1] <= FEW
        and 0 < x.shape[-1] <= WIDEST
        and not torch.is_grad_enabled()
        and not autocasts("cuda")
    )
