"""Many queries over what a row has stored, in half precision on a GPU: torch's flash kernel for texts of any length.

Legend: B rows, T queries, H query heads, K key/value heads, E head dim, C cells of a row, R segments of queries.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from llm_build.attend.options import Options, Places
from llm_build.attend.order import InOrder

WIDEST = 256


def flash_lacks(q: Tensor, v: Tensor, places: Places, options: Options) -> str:
    """Why this kernel cannot attend here; nothing where it can."""
    if q.device.type != "cuda":
        return "flash runs on a GPU"
    if torch.is_grad_enabled():
        return "flash over what is stored has no gradients"
    if q.dtype not in (torch.bfloat16, torch.float16):
        return f"flash takes half precision, not {q.dtype}"
    if not isinstance(places.k_index, InOrder):
        return "flash takes cells in the order of their places"
    if q.shape[-1] > WIDEST or q.shape[-1] % 8 or v.shape[-1] > q.shape[-1]:
        return f"flash takes heads of {WIDEST} numbers at most, a multiple of 8, and values no wider than keys"
    given = {"a mask": options.mask, "a bias": options.bias, "a softcap": options.softcap, "sinks": options.sinks}
    missing = [name for name, each in given.items() if each is not None]
    return f"flash has no {missing[0].removeprefix('a ')}" if missing else ""


def flash(q: Tensor, k: Tensor, v: Tensor, places: Places, options: Options) -> Tensor:
    """q [B, T, H, E], k and v as they are kept, in order → [B, T, H, Ev]; zeros where a query is no token."""
    assert isinstance(places.k_index, InOrder), "flash takes cells in the order of their places"
    kept, where = _in_order(places.k_index, {"k": k} if k is v else {"k": k, "v": v}, places.q_index)
    k, v = kept["k"], kept.get("v", kept["k"])
    width = v.shape[-1]
    v = pad(v, (0, q.shape[-1] - width)) if width < q.shape[-1] else v
    if _cells(k) is None or _cells(k) != _cells(v):
        k, v = k.contiguous(), v.contiguous()
    cells = _cells(k)
    assert cells is not None, "what is contiguous lies row behind row"
    starts, k_starts, lengths = _segments(places, where.lengths, cells)
    near = None if options.window is None else options.window - 1
    out: Tensor = torch.ops.aten._flash_attention_forward(
        q.flatten(0, 1),
        _end_to_end(k, cells),
        _end_to_end(v, cells),
        starts,
        k_starts,
        # of a single query it takes a segment to be a row, and some rows are two
        max(q.shape[1], 2),
        where.span,
        0.0,
        options.causal,
        False,
        scale=options.scale,
        window_size_left=near,
        window_size_right=0 if options.causal else near,
        seqused_k=lengths,
    )[0]
    attended: Tensor = out.unflatten(0, q.shape[:2])[..., :width]
    return attended


def _in_order(where: InOrder, kept: dict[str, Tensor], q_index: Tensor) -> tuple[dict[str, Tensor], InOrder]:
    """Row by row, each from the first place on that is still there; causality and windows ask for distances alone."""
    if where.ring is None:
        return where.rows(kept)
    assert where.reach is not None, "a ring says how far back it reaches"
    first = (q_index[:, :1] - where.reach + 1).clamp(min=0)
    cell = (first + torch.arange(where.ring, device=first.device)) % where.ring
    row = torch.arange(len(cell), device=cell.device)[:, None]
    # of a row without a query nothing is read
    lengths = (where.lengths - first[:, 0]).clamp(max=where.ring)
    return {name: each[row, cell] for name, each in kept.items()}, InOrder(lengths=lengths, span=where.ring)


def _cells(kept: Tensor) -> int | None:
    """How many cells lie from one row of [B, C, K, E] to the next; None where these are no whole number."""
    row, cell = kept.stride()[:2]
    return None if row % cell or kept.stride(-1) != 1 else row // cell


def _end_to_end(kept: Tensor, cells: int) -> Tensor:
    """[B, C, K, E] → all rows behind one another [cells, K, E], where they lie."""
    size = ((kept.shape[0] - 1) * cells + kept.shape[1], *kept.shape[2:])
    return kept.as_strided(size, kept.stride()[1:])


def _segments(places: Places, lengths: Tensor, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where queries [R + 1] and keys [R + 1] of each segment start, and how many keys it has [R].

    The last query of a segment is one with its last key. Where some queries are no token, these are a segment of their
    own behind their row's others, which has no keys and so gives zeros.
    """
    rows, queries = places.q_index.shape
    row = torch.arange(rows + 1, device=lengths.device, dtype=torch.int32)
    if not places.padded:
        return row * queries, row * cells, lengths.int()
    real = (places.q_index >= 0).sum(1, dtype=torch.int32)
    starts = torch.stack((row[:-1] * queries, row[:-1] * queries + real), 1).flatten()
    k_starts = torch.stack((row[:-1] * cells, row[1:] * cells), 1).flatten()
    used = torch.stack((lengths.int(), torch.zeros_like(real)), 1).flatten()
    return torch.cat((starts, row[-1:] * queries)), torch.cat((k_starts, row[-1:] * cells)), used
