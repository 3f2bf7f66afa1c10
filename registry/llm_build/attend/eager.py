"""The reference: every option, written as the mathematics. Exact, and quadratic in memory.

Legend: B rows, T queries, S keys, H query heads, K key/value heads, G = H / K, E head dim.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import dropout

from llm_build.attend.options import Options, Places
from llm_build.attend.visible import bias_of, visible


def eager(q: Tensor, k: Tensor, v: Tensor, places: Places, options: Options) -> Tensor:
    """q [B, T, H, E], k and v [B, S, K, …] or as kept → [B, T, H, Ev]. In float32 or wider where autocast lets it."""
    k, v, places = places.read(k, v)
    wide = torch.promote_types(q.dtype, torch.float32)
    heads, kv_heads = q.shape[2], k.shape[2]
    grouped = q.unflatten(2, (kv_heads, heads // kv_heads))
    scale = q.shape[-1] ** -0.5 if options.scale is None else options.scale
    scores = torch.einsum("btkge,bske->bkgts", grouped.to(wide), k.to(wide)) * scale
    if options.softcap is not None:
        scores = options.softcap * torch.tanh(scores / options.softcap)
    bias = bias_of(places, options, heads)
    if bias is not None:
        scores = scores + bias.unflatten(1, (kv_heads, heads // kv_heads)).to(wide)
    hidden = ~visible(places, options)[:, None, None]
    scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
    # filled once more: where nothing is visible the weights are zero, not uniform
    weights = _softmax(scores, options.sinks).masked_fill(hidden, 0)
    if options.dropout:
        weights = dropout(weights, options.dropout)
    return torch.einsum("bkgts,bskf->btkgf", weights, v.to(wide)).flatten(2, 3).to(q.dtype)


def _softmax(scores: Tensor, sinks: Tensor | None) -> Tensor:
    """Softmax over the keys of [B, K, G, T, S]; each head's sink takes its share and gives nothing."""
    if sinks is None:
        return scores.softmax(-1)
    shares = sinks.to(scores.dtype).view(*scores.shape[1:3], 1, 1).expand(*scores.shape[:-1], 1)
    return torch.cat([scores, shares], -1).softmax(-1)[..., :-1]
