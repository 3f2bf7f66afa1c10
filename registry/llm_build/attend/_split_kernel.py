# ruff: noqa: N803 - what is compiled into a kernel has a name in capitals
"""Attention of a few queries over many keys as a kernel of a GPU, in Triton.

The keys of a row are split over programs, each of which keeps a running softmax over its share; the shares are summed
in their order. How many there are is read on the device, so one graph serves all lengths. Source: Dao et al. 2023,
"Flash-Decoding for long-context inference".

Legend: B rows, T queries, H query heads, K key/value heads, G = H / K, M = G·T queries of one key head, E width of
keys, Ev of values, P splits.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

LOG2E = tl.constexpr(1.4426950408889634)
FAR = tl.constexpr(2**30)


# Triton reads annotations as part of the program, and knows its own alone
@triton.jit
def _tanh(x):  # type: ignore[no-untyped-def]
    """To the last bits of float32: near zero, where exponentials cancel, by its series."""
    square = x * x
    small = x * (1 - square * (1 / 3) + square * square * (2 / 15))
    power = tl.exp(tl.abs(x) * -2.0)
    large = (1 - power) / (1 + power)
    return tl.where(tl.abs(x) < 0.1, small, tl.where(x < 0, -large, large))


@triton.jit  # type: ignore[untyped-decorator]
def _range(  # type: ignore[no-untyped-def]
    at, first, length, window, reach, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, RING: tl.constexpr
):
    """The places [low, high) that any query sees, which stand at `at` [M], -1 = none; `first` is the row's first."""
    newest = tl.max(at, 0)
    low, high = 0, length
    if CAUSAL:
        high = tl.minimum(high, newest + 1)
    if WINDOWED:
        low = tl.maximum(tl.min(tl.where(at >= 0, at, FAR), 0) - window + 1, 0)
        if not CAUSAL:
            high = tl.minimum(high, newest + window)
    if RING:
        low = tl.maximum(low, first - reach + 1)
    return low, tl.where(newest < 0, low, tl.maximum(high, low))


@triton.jit  # type: ignore[untyped-decorator]
def _share_of_one(most, total, sinks, h, real, SINKS: tl.constexpr):  # type: ignore[no-untyped-def]
    """What a sum of weights is divided by, as a factor: nothing seen gives 0. A sink takes weight and gives nothing."""
    whole = total
    if SINKS:
        base = tl.where(most == float("-inf"), 0.0, most)
        whole += tl.exp2(tl.load(sinks + h, mask=real, other=0).to(tl.float32) * LOG2E - base)
    return tl.where(total > 0, 1 / whole, 0.0)


@triton.jit  # type: ignore[untyped-decorator]
def _join(  # type: ignore[no-untyped-def]
    out, parts, weights, sinks, group, shares, r, e, row, head, part, queries, heads, v_width,
    GROUP: tl.constexpr, SINKS: tl.constexpr, ROWS: tl.constexpr, SPLITS: tl.constexpr, WIDTH: tl.constexpr,
    AHEAD: tl.constexpr,
):  # fmt: skip
    """Sum the shares of queries r and of numbers e of a head, in one block of ROWS.

    AHEAD: all that there is room for is read, without waiting for how many shares were written.
    """
    m = part * ROWS + r
    real = m < queries * GROUP
    t, h = m // GROUP, head * GROUP + m % GROUP
    split = tl.arange(0, SPLITS)
    slot = (group * SPLITS + split)[:, None] * ROWS + r[None]
    written = (split < shares)[:, None] & real[None]
    there = real[None] if AHEAD else written
    # not by way of a cache that may hold what was there before
    most = tl.load(weights + 2 * slot, mask=there, other=0, cache_modifier=".cg")
    total = tl.load(weights + 2 * slot + 1, mask=there, other=0, cache_modifier=".cg")
    y = tl.load(
        parts + (slot * WIDTH)[:, :, None] + e[None, None], mask=there[:, :, None], other=0, cache_modifier=".cg"
    )
    most = tl.where(written, most, float("-inf"))
    highest = tl.max(most, 0)
    by = tl.exp2(most - tl.where(highest == float("-inf"), 0.0, highest)[None])
    whole = tl.sum(tl.where(written, total * by, 0), 0)
    by = by * _share_of_one(highest, whole, sinks, h, real, SINKS)[None]
    summed = tl.sum(tl.where(written[:, :, None], y * by[:, :, None], 0), 0)
    to = out + ((row.to(tl.int64) * queries + t) * heads + h)[:, None] * v_width
    tl.store(to + e[None], summed, mask=real[:, None] & (e < v_width)[None])


@triton.jit  # type: ignore[untyped-decorator]
def attend(  # type: ignore[no-untyped-def]
    q, k, v, out, parts, weights, done, q_index, k_index, lengths, table, sinks,
    q_row, q_place, q_head, k_row, k_cell, k_head, v_row, v_cell, v_head, table_row,
    scale, softcap, queries, heads, width, v_width, cells, page, window, reach,
    GROUP: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, CAPPED: tl.constexpr, SINKS: tl.constexpr,
    INDEXED: tl.constexpr, PAGED: tl.constexpr, RING: tl.constexpr, ONE: tl.constexpr, JOINED: tl.constexpr,
    ROWS: tl.constexpr, LIVE: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
    FIRST: tl.constexpr, REST: tl.constexpr, V_FIRST: tl.constexpr, V_REST: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """A program takes ROWS of the M queries of one key head of one row, over one share of its keys.

    A head is read as FIRST numbers and REST more. ONE: what is kept is key and value. `cells` are those of a row: of a
    ring its size, of cells in any order how many there are. EARLY: it may begin before the kernel ahead is done.
    """
    if EARLY:
        gdc_wait()
        gdc_launch_dependents()
    # blocks of queries stand first: of that there may be more than 65,535
    block, row, split = tl.program_id(0), tl.program_id(1).to(tl.int64), tl.program_id(2)
    blocks = (queries * GROUP + ROWS - 1) // ROWS
    head, part = block // blocks, block % blocks
    m = part * ROWS + tl.arange(0, ROWS)
    real = m < queries * GROUP
    t, h = m // GROUP, head * GROUP + m % GROUP
    at = tl.load(q_index + row * queries + t, mask=real, other=-1).to(tl.int32)
    if INDEXED:
        low, high = 0, tl.where(tl.max(at, 0) < 0, 0, cells)
    else:
        begun = tl.load(q_index + row * queries).to(tl.int32)
        length = tl.load(lengths + row).to(tl.int32)
        low, high = _range(at, begun, length, window, reach, CAUSAL, WINDOWED, RING)
    seeable = tl.maximum(high - low, 1)
    share = tl.cdiv(tl.cdiv(seeable, KEYS), SPLITS) * KEYS
    shares = tl.cdiv(seeable, share)
    if split >= shares:
        return
    e, v_e = tl.arange(0, FIRST), tl.arange(0, V_FIRST)
    q_at = q + row * q_row + (t * q_place + h * q_head)[:, None]
    q1 = tl.load(q_at + e[None], mask=real[:, None] & (e < width)[None], other=0)
    y1 = tl.zeros((ROWS, V_FIRST), tl.float32)
    if REST > 0:
        e2 = FIRST + tl.arange(0, REST)
        q2 = tl.load(q_at + e2[None], mask=real[:, None] & (e2 < width)[None], other=0)
    if V_REST > 0:
        v_e2 = V_FIRST + tl.arange(0, V_REST)
        y2 = tl.zeros((ROWS, V_REST), tl.float32)
    k_at = k + head * k_head
    v_at = v + head * v_head
    most = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    begin = low + split * share
    end = tl.minimum(begin + share, high)
    for start in range(begin, end, KEYS):
        place = start + tl.arange(0, KEYS)
        there = place < end
        whose, cell = row, place
        if INDEXED:
            place = tl.load(k_index + row * cells + cell, mask=there, other=-1).to(tl.int32)
            there = there & (place >= 0)
        if RING:
            cell = place % cells
        if PAGED:
            whose = tl.load(table + row * table_row + place // page, mask=there, other=0).to(tl.int64)
            cell = place % page
        cell = cell.to(tl.int64)
        k_cells = k_at + (whose * k_row + cell * k_cell)[:, None]
        k1 = tl.load(k_cells + e[None], mask=there[:, None] & (e < width)[None], other=0)
        scores = tl.dot(q1, tl.trans(k1), input_precision="ieee")
        if REST > 0:
            k2 = tl.load(k_cells + e2[None], mask=there[:, None] & (e2 < width)[None], other=0)
            scores = tl.dot(q2, tl.trans(k2), scores, input_precision="ieee")
        scores = scores * scale
        if CAPPED:
            scores = softcap * _tanh(scores / softcap)
        seen = there[None] & (at >= 0)[:, None]
        if CAUSAL:
            seen = seen & (place[None] <= at[:, None])
        if WINDOWED:
            seen = seen & (place[None] > at[:, None] - window)
            if not CAUSAL:
                seen = seen & (place[None] < at[:, None] + window)
        scores = tl.where(seen, scores * LOG2E, float("-inf"))
        higher = tl.maximum(most, tl.max(scores, 1))
        base = tl.where(higher == float("-inf"), 0.0, higher)
        kept = tl.exp2(most - base)
        p = tl.exp2(scores - base[:, None])
        total = total * kept + tl.sum(p, 1)
        most = higher
        if ONE:
            y1 = tl.dot(p.to(k1.dtype), k1, y1 * kept[:, None], input_precision="ieee")
            if V_REST > 0:
                y2 = tl.dot(p.to(k1.dtype), k2, y2 * kept[:, None], input_precision="ieee")
        else:
            v_cells = v_at + (whose * v_row + cell * v_cell)[:, None]
            v1 = tl.load(v_cells + v_e[None], mask=there[:, None] & (v_e < v_width)[None], other=0)
            y1 = tl.dot(p.to(v1.dtype), v1, y1 * kept[:, None], input_precision="ieee")
            if V_REST > 0:
                v2 = tl.load(v_cells + v_e2[None], mask=there[:, None] & (v_e2 < v_width)[None], other=0)
                y2 = tl.dot(p.to(v2.dtype), v2, y2 * kept[:, None], input_precision="ieee")
    group = row * tl.num_programs(0) + block
    if shares == 1:
        by = _share_of_one(most, total, sinks, h, real, SINKS)[:, None]
        to = out + ((row * queries + t) * heads + h)[:, None] * v_width
        tl.store(to + v_e[None], y1 * by, mask=real[:, None] & (v_e < v_width)[None])
        if V_REST > 0:
            tl.store(to + v_e2[None], y2 * by, mask=real[:, None] & (v_e2 < v_width)[None])
    else:
        slot = (group * SPLITS + split) * ROWS + tl.arange(0, ROWS)
        slots = parts + (slot * (V_FIRST + V_REST))[:, None]
        tl.store(weights + 2 * slot, most, mask=real)
        tl.store(weights + 2 * slot + 1, total, mask=real)
        tl.store(slots + v_e[None], y1, mask=real[:, None])
        if V_REST > 0:
            tl.store(slots + v_e2[None], y2, mask=real[:, None])
    if JOINED:
        if shares > 1:
            # every thread's share is written before one of them counts it
            tl.debug_barrier()
            if tl.atomic_add(done + group, 1, sem="acq_rel", scope="gpu") == shares - 1:
                tl.debug_barrier()
                r = tl.arange(0, LIVE)
                _join(
                    out, parts, weights, sinks, group, shares, r, v_e, row, head, part, queries, heads, v_width,
                    GROUP, SINKS, ROWS, SPLITS, V_FIRST + V_REST, False,
                )  # fmt: skip
                if V_REST > 0:
                    _join(
                        out, parts, weights, sinks, group, shares, r, v_e2, row, head, part, queries, heads, v_width,
                        GROUP, SINKS, ROWS, SPLITS, V_FIRST + V_REST, False,
                    )  # fmt: skip
                # the next launch begins after this one, at 0 again
                tl.atomic_xchg(done + group, 0)
    elif split == 0:
        tl.store(done + group, shares)


@triton.jit  # type: ignore[untyped-decorator]
def joining(  # type: ignore[no-untyped-def]
    out, parts, weights, done, sinks, kv_heads, blocks, queries, heads, v_width,
    GROUP: tl.constexpr, SINKS: tl.constexpr, ROWS: tl.constexpr, SPLITS: tl.constexpr, WIDTH: tl.constexpr,
    PIECE: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """A program sums the shares of PIECE numbers of one query of one head."""
    if EARLY:
        gdc_wait()
        gdc_launch_dependents()
    row, head = tl.program_id(0), tl.program_id(1)
    m, piece = tl.program_id(2) // (WIDTH // PIECE), tl.program_id(2) % (WIDTH // PIECE)
    part = m // ROWS
    group = (row * kv_heads + head) * blocks + part
    shares = tl.load(done + group)
    if shares > 1:
        _join(
            out, parts, weights, sinks, group, shares, m % ROWS + tl.arange(0, 1), piece * PIECE + tl.arange(0, PIECE),
            row, head, part, queries, heads, v_width, GROUP, SINKS, ROWS, SPLITS, WIDTH, True,
        )  # fmt: skip
