"""A few queries over all that a row has stored: a kernel that reads what is in use and nothing else.

Legend: B rows, T queries, H query heads, K key/value heads, E head dim, C cells of a row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from llm_build.attend.options import Options, Places
from llm_build.attend.order import InOrder
from llm_build.kernels import HAS_TRITON, is_traced

FEW = 16
"""So many queries of a row are few. More go to a kernel made for many, where that has every option."""
DTYPES = (torch.bfloat16, torch.float16, torch.float32)


def needs_triton(q: Tensor) -> str:
    """What to do where a GPU is used and the kernel's language is not there; nothing otherwise."""
    missing = q.device.type == "cuda" and not HAS_TRITON and not torch.is_grad_enabled()
    return "the split kernel needs Triton: pip install triton" if missing else ""


def split_lacks(q: Tensor, places: Places, options: Options) -> str:
    """Why this kernel is not to attend here; nothing where it is."""
    if q.device.type != "cuda":
        return "the split kernel runs on a GPU"
    if torch.is_grad_enabled() or options.dropout:
        return "the split kernel is for inference"
    if needs_triton(q):
        return needs_triton(q)
    if q.dtype not in DTYPES:
        return f"the split kernel takes half precision and float32, not {q.dtype}"
    if options.mask is not None or options.bias is not None or places.documents is not None:
        return "the split kernel has no mask, no bias and no documents"
    if q.shape[1] > FEW and options.softcap is None and options.sinks is None:
        return f"the split kernel is for {FEW} queries a row"
    return ""


def split(q: Tensor, k: Tensor, v: Tensor, places: Places, options: Options) -> Tensor:
    """q [B, T, H, E], k [B, C, K, E] and v [B, C, K, Ev] as they are kept → [B, T, H, Ev]; zeros where a query sees
    nothing. Takes no bias, no mask and no documents."""
    from llm_build.attend._split import attention, split_attention

    where = places.k_index
    order = where if isinstance(where, InOrder) else None
    operation = split_attention if is_traced(q) else attention
    out: Tensor = operation(
        _packed(q),
        _packed(k),
        None if v is k else _packed(v),
        places.q_index.contiguous(),
        None if isinstance(where, InOrder) else where.contiguous(),
        None if order is None else order.lengths,
        None if order is None else order.table,
        options.sinks,
        None if order is None else order.ring,
        None if order is None else order.reach,
        options.causal,
        options.window,
        q.shape[-1] ** -0.5 if options.scale is None else options.scale,
        options.softcap,
    )
    return out


def _packed(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()
