"""The split kernel as an operation of torch, which torch.compile takes whole. Imported only where there is a GPU.

Legend: B rows, T queries, H query heads, K key/value heads, E width of keys, Ev of values, C cells of a row.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from llm_build.attend._split_kernel import attend, joining
from llm_build.attend.tiles import Tiles, halves, power_of_two, tiles_for
from llm_build.kernels import launches_early

COUNTERS = 2**16
PIECE = 128
"""So many numbers of a head a program sums, where shares are summed by a kernel of their own."""


@functools.cache
def _counters(device: torch.device) -> Tensor:
    """Zeros, to which every launch puts them back; so two launches at once, on two streams, must not be."""
    return torch.zeros(COUNTERS, dtype=torch.int32, device=device)


def launch(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_index: Tensor,
    k_index: Tensor | None,
    lengths: Tensor | None,
    table: Tensor | None,
    sinks: Tensor | None,
    ring: int | None,
    reach: int | None,
    causal: bool,
    window: int | None,
    scale: float,
    softcap: float | None,
    tiles: Tiles,
) -> Tensor:
    """What `attention` computes, cut as `tiles` says."""
    (rows, queries, heads, width), kv_heads, v_width = q.shape, k.shape[2], v.shape[3]
    group = heads // kv_heads
    blocks = -(-queries * group // tiles.rows)
    (first, rest), (v_first, v_rest) = halves(width), halves(v_width)
    out = q.new_empty(rows, queries, heads, v_width)
    groups = rows * kv_heads * blocks
    joined = tiles.joined and groups <= COUNTERS
    slots = groups * tiles.splits * tiles.rows if tiles.splits > 1 else 0
    parts = torch.empty(slots, v_first + v_rest, dtype=torch.float32, device=q.device)
    weights = torch.empty(slots, 2, dtype=torch.float32, device=q.device)
    done = _counters(q.device) if joined else torch.empty(groups, dtype=torch.int32, device=q.device)
    early = launches_early(q.device)
    begun = {"launch_pdl": True} if early else {}
    one = k.data_ptr() == v.data_ptr() and k.stride() == v.stride() and v_width <= width
    attend[kv_heads * blocks, rows, tiles.splits](
        q, k, v, out, parts, weights, done, q_index,
        q_index if k_index is None else k_index,
        q_index if lengths is None else lengths,
        q_index if table is None else table,
        q if sinks is None else sinks,
        *q.stride()[:3], *k.stride()[:3], *v.stride()[:3],
        0 if table is None else table.stride(0),
        scale, 1.0 if softcap is None else softcap, queries, heads, width, v_width,
        (k.shape[1] if ring is None else ring), k.shape[1], window or 0, reach or 0,
        GROUP=group, CAUSAL=causal, WINDOWED=window is not None, CAPPED=softcap is not None, SINKS=sinks is not None,
        INDEXED=k_index is not None, PAGED=table is not None, RING=ring is not None,
        ONE=one and (v_first, v_rest) == (first, rest), JOINED=joined,
        ROWS=tiles.rows, LIVE=min(power_of_two(queries * group), tiles.rows), KEYS=tiles.keys, SPLITS=tiles.splits,
        FIRST=first, REST=rest, V_FIRST=v_first, V_REST=v_rest, EARLY=early,
        num_warps=tiles.warps, num_stages=tiles.stages, **begun,
    )  # fmt: skip
    if tiles.splits > 1 and not joined:
        together = v_first + v_rest
        piece = min(PIECE, v_rest or v_first)
        joining[rows, kv_heads, queries * group * (together // piece)](
            out, parts, weights, done, q if sinks is None else sinks, kv_heads, blocks, queries, heads, v_width,
            GROUP=group, SINKS=sinks is not None, ROWS=tiles.rows, SPLITS=tiles.splits, WIDTH=together, PIECE=piece,
            EARLY=early, num_warps=4, **begun,
        )  # fmt: skip
    return out


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor | None,
    q_index: Tensor,
    k_index: Tensor | None,
    lengths: Tensor | None,
    table: Tensor | None,
    sinks: Tensor | None,
    ring: int | None,
    reach: int | None,
    causal: bool,
    window: int | None,
    scale: float,
    softcap: float | None,
) -> Tensor:
    """q [B, T, H, E], k [B, C, K, E], v [B, C, K, Ev] → [B, T, H, Ev]; v = None: k is both.

    Either k_index [B, C] says where cells stand or lengths [B] how many are in use, as `InOrder` does.
    """
    values = k if v is None else v
    (rows, queries, heads, width), (_, cells, kv_heads, v_width) = q.shape, values.shape
    most = cells if table is None else table.shape[1] * cells
    tiles = tiles_for(rows, kv_heads, queries * heads // kv_heads, width, v_width, most, q.element_size())
    return launch(
        q, k, values, q_index, k_index, lengths, table, sinks, ring, reach, causal, window, scale, softcap, tiles
    )


split_attention = torch.library.custom_op("llm_build::split_attention", attention, mutates_args=())


@split_attention.register_fake
def _(q: Tensor, k: Tensor, v: Tensor | None, *_: object) -> Tensor:
    return q.new_empty(*q.shape[:3], (k if v is None else v).shape[-1])
