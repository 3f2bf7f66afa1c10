"""The equation of the gated delta rule. Legend: B rows, T positions, H heads, E width of a key, V of a value."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

CLOSE = {"rtol": 1e-9, "atol": 1e-10}


def by_hand(
    q: Tensor, k: Tensor, v: Tensor, decay: Tensor, beta: Tensor, state: Tensor, begins: Collection[int] = ()
) -> tuple[Tensor, Tensor]:
    """q and k [B, T, H, E], v [B, T, H, V], log α and β [B, T, H], state [B, H, E, V] → y [B, T, H, V] and the state.

    Section 3.1 of the paper as printed, with S [V, E]; before the places in `begins` it is 0.
    """
    state, eye, ys = state.mT, torch.eye(k.shape[-1], dtype=k.dtype), []
    for t in range(q.shape[1]):
        if t in begins:
            state = torch.zeros_like(state)
        column = k[:, t, :, :, None]
        share = beta[:, t, :, None, None]
        alpha = decay[:, t, :, None, None].exp()
        state = alpha * state @ (eye - share * column @ column.mT) + share * v[:, t, :, :, None] @ column.mT
        ys.append((state @ q[:, t, :, :, None])[..., 0])
    return torch.stack(ys, 1), state.mT
