"""SDPA with a mask: caches, padding, windows, documents, biases. The query group is packed into the query axis, so that
grouped heads never materialise repeated keys.

Legend: B rows, T queries, S keys, H query heads, K key/value heads, G = H / K, E head dim.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from llm_build.attend.options import Options, Places
from llm_build.attend.visible import bias_of, visible
from llm_build.attend.widths import one_width


def masked(q: Tensor, k: Tensor, v: Tensor, places: Places, options: Options) -> Tensor:
    """q [B, T, H, E], k and v [B, S, K, …] or as kept → [B, T, H, Ev]; zeros where a query sees nothing."""
    k, v, places = places.read(k, v)
    queries, heads, kv_heads = q.shape[1], q.shape[2], k.shape[2]
    group = heads // kv_heads
    seen, blind = visible(places, options), None
    # padding may leave a query nothing to see, and so may a mask; anything else leaves it itself
    if places.padded or options.mask is not None:
        blind = ~seen.any(-1, keepdim=True)  # [B, T, 1]
        # in half precision on a GPU, SDPA gives such a query the mean of all values, and NaN for a gradient
        seen = seen | blind
    width = v.shape[-1]
    q, k, v, scale = one_width(q, k, v, options.scale)
    packed = q.unflatten(2, (kv_heads, group)).permute(0, 2, 3, 1, 4).flatten(2, 3)  # [B, K, G·T, E]
    out: Tensor = scaled_dot_product_attention(
        packed,
        k.transpose(1, 2),
        v.transpose(1, 2),
        attn_mask=_packed_mask(seen, bias_of(places, options, heads), kv_heads, group, q.dtype),
        scale=scale,
        dropout_p=options.dropout,
    )
    out = out[..., :width].unflatten(2, (group, queries)).permute(0, 3, 1, 2, 4).flatten(2, 3)
    return out if blind is None else out.masked_fill(blind[..., None], 0)


def _packed_mask(seen: Tensor, bias: Tensor | None, kv_heads: int, group: int, dtype: torch.dtype) -> Tensor:
    """bool [B, 1, G·T, S], or with a bias [B, K, G·T, S] of scores to add."""
    # for a single query this repeats nothing: the group axis has stride 0
    packed = seen[:, None].expand(-1, group, -1, -1).flatten(1, 2)[:, None]
    if bias is None:
        return packed
    grouped = bias.unflatten(1, (kv_heads, group)).flatten(2, 3).to(dtype)
    scores: Tensor = grouped.masked_fill(~packed, float("-inf"))
    return scores
