"""Heads of one width, for kernels that take no two. Legend: E width of queries and keys, Ev of values."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad


def one_width(q: Tensor, k: Tensor, v: Tensor, scale: float | None) -> tuple[Tensor, Tensor, Tensor, float | None]:
    """q and k [..., E], v [..., Ev] and the scale → the same with zeros behind the narrower, where that is faster.

    Zeros change no score, and add columns of zeros to the output. On a CPU SDPA's fused kernel takes one width; with
    two it falls to the one that materialises all scores. On a GPU a fused kernel takes both.
    """
    width, values = q.shape[-1], v.shape[-1]
    if q.device.type != "cpu" or width == values:
        return q, k, v, scale
    scale = width**-0.5 if scale is None else scale
    if values < width:
        return q, k, pad(v, (0, width - values)), scale
    q, k = (pad(each, (0, values - width)) for each in (q, k))
    return q, k, v, scale
