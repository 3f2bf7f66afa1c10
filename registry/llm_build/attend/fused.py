"""SDPA without a mask: whole sequences, causal or full. Legend: B rows, T positions, H query heads, K key/value heads,
G = H / K, E head dim."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from llm_build.attend.options import Options, Places
from llm_build.attend.widths import one_width

FLASH_HEAD_DIM = 256


def fused_lacks(places: Places, options: Options) -> str:
    """Why this kernel cannot attend here; nothing where it can."""
    if not places.plain:
        return "fused is for whole sequences"
    given = (options.window, options.bias, options.mask, options.softcap, options.sinks)
    return "" if all(each is None for each in given) else "fused has causality alone"


def fused(q: Tensor, k: Tensor, v: Tensor, _places: Places, options: Options) -> Tensor:
    """q [B, T, H, E], k [B, T, K, E], v [B, T, K, Ev] → [B, T, H, Ev]. Keys are never repeated in memory."""
    heads, kv_heads = q.shape[2], k.shape[2]
    if heads == kv_heads or shares_keys(q, v):
        return _sdpa(q, k, v, options, grouped=heads != kv_heads)
    groups = q.unflatten(2, (kv_heads, heads // kv_heads)).unbind(3)
    return torch.stack([_sdpa(each, k, v, options) for each in groups], 3).flatten(2, 3)


def shares_keys(q: Tensor, v: Tensor) -> bool:
    """Whether SDPA's fused kernels take grouped heads here.

    On a CPU they do without dropout, and are as fast as or faster than a loop or repeated keys. On a GPU only flash
    does; anything else would fall to the kernel that materialises [T, T].
    """
    return takes_flash(q, v) if q.device.type == "cuda" else q.device.type in ("cpu", "meta")


def takes_flash(q: Tensor, v: Tensor) -> bool:
    """Whether a GPU's flash kernel takes heads of these widths and this dtype, without a mask."""
    half = q.dtype in (torch.bfloat16, torch.float16)
    return half and q.shape[-1] == v.shape[-1] <= FLASH_HEAD_DIM


def materialises(q: Tensor, v: Tensor, dropout: float, masked: bool) -> str:
    """Why SDPA has only its reference here, which materialises all scores; nothing where it has a better kernel."""
    if q.device.type == "cpu":
        return "SDPA has no fused kernel with dropout on a CPU" if dropout else ""
    if q.device.type != "cuda" or (takes_flash(q, v) and not masked):
        return ""
    if q.dtype == torch.float64:
        return "SDPA has no fused kernel in float64 on a GPU"
    multiple = 4 if q.dtype == torch.float32 else 8
    if q.shape[-1] % multiple or v.shape[-1] % multiple:
        return f"SDPA's kernels take heads of a multiple of {multiple} numbers; these have {q.shape[-1]}, {v.shape[-1]}"
    return ""


def _sdpa(q: Tensor, k: Tensor, v: Tensor, options: Options, grouped: bool = False) -> Tensor:
    width = v.shape[-1]
    q, k, v, scale = one_width(q, k, v, options.scale)
    out = scaled_dot_product_attention(
        q.transpose(1, 2),
        k.transpose(1, 2),
        v.transpose(1, 2),
        is_causal=options.causal,
        scale=scale,
        dropout_p=options.dropout,
        enable_gqa=grouped,
    )
    return out[..., :width].transpose(1, 2)
