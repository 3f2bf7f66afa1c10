"""The gated delta rule, one token or many at a time.

Legend: B rows, T positions, H heads, E width of a key, V width of a value, N chunks, C positions of a chunk.

    S_t = α_t · (S_{t-1} − β_t k_t (k_tᵀ S_{t-1})) + β_t k_t v_tᵀ        y_t = S_tᵀ q_t

The state S [E, V] is that of the paper transposed. Keys are of length 1 at most, α and β are from 0 to 1.
Source: Yang, Kautz and Hatamizadeh 2024, "Gated Delta Networks" (arXiv 2412.06464), section 3.1; by chunks section 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import solve_triangular
from torch.nn.functional import pad

CHUNK = 64
"""Positions that are worked on together: a chunk costs C² products a head, and what comes after waits for it."""


def one(q: Tensor, k: Tensor, v: Tensor, decay: Tensor, beta: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """`many` for T = 1, as the recurrence says."""
    q, k, v, decay, beta = (each[:, 0] for each in (q, k, v, decay, beta))
    state = state * decay.exp()[..., None, None]
    change = beta[..., None] * (v - torch.einsum("bhe,bhev->bhv", k, state))
    state = state + k[..., None] * change[..., None, :]
    return torch.einsum("bhe,bhev->bhv", q, state)[:, None], state


def many(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    decay: Tensor,
    beta: Tensor,
    state: Tensor,
    segments: Tensor | None = None,
    size: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """q and k [B, T, H, E], v [B, T, H, V], decay = log α and beta [B, T, H], state [B, H, E, V] → y [B, T, H, V] and
    the state after the last token.

    A token with decay 0 and beta 0 leaves the state as it is. `segments` [B, T], numbers that never fall: where they
    rise, the state begins anew at 0.

    Within a chunk u_i = β_i (v_i − α_1…α_i S₀ᵀ k_i − Σ_{j<i} α_{j+1}…α_i (k_i·k_j) u_j) is one triangular system. It is
    solved for all chunks at once, as a part without S₀ and one that S₀ is multiplied with; only S₀ goes by turns.
    """
    length, size = q.shape[1], min(size, q.shape[1])
    q, k, v = (chunks(each, size) for each in (q, k, v))  # [B, H, N, C, …]
    decay, beta = (chunks(each[..., None], size)[..., 0] for each in (decay, beta))  # [B, H, N, C]
    between, since = decays(decay, None if segments is None else same(segments, size))
    against = (beta[..., None] * (k @ k.mT) * between).tril(-1)
    given = beta[..., None] * torch.cat((v, since[..., None] * k), dim=-1)
    solved = solve_triangular(against, given, upper=False, unitriangular=True)
    without, by_state = solved.split((v.shape[-1], k.shape[-1]), dim=-1)
    remembered = (between[..., -1, :, None] * k).mT  # [B, H, N, E, C]
    kept = torch.diag_embed(since[..., -1, None].expand_as(k[..., 0, :])) - remembered @ by_state  # [B, H, N, E, E]
    begins, state = by_turns(kept, remembered @ without, state)
    change = without - by_state @ begins
    y = (since[..., None] * q) @ begins + ((q @ k.mT) * between) @ change
    return y.flatten(2, 3)[:, :, :length].transpose(1, 2), state


def chunks(x: Tensor, size: int) -> Tensor:
    """[B, T, H, …] → [B, H, N, C, …], with zeros behind the last token."""
    more = -x.shape[1] % size
    padded: Tensor = pad(x.transpose(1, 2), (0, 0, 0, more)).unflatten(2, (-1, size))
    return padded


def decays(decay: Tensor, together: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    """log α [B, H, N, C] → how much is left at i of what came at j ≤ i [B, H, N, C, C], and of the state before its
    chunk [B, H, N, C].

    Nothing is left across segments. Logarithms are added up from each j on, so that a strong decay before it costs no
    digits, and are hidden before they are raised, so that nothing overflows.
    """
    size = decay.shape[-1]
    added = decay[..., None].expand(*decay.shape, size).tril(-1).cumsum(-2)
    hidden = torch.ones(size, size, dtype=torch.bool, device=decay.device).triu(1)
    since = decay.cumsum(-1)
    if together is not None:
        inside, before = together
        hidden = hidden | ~inside[:, None]
        since = since.masked_fill(~before[:, None], float("-inf"))
    return added.masked_fill(hidden, float("-inf")).exp(), since.exp()


def same(segments: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """segments [B, T] → whether two places of a chunk are of one [B, N, C, C], and a place and the one before its chunk
    [B, N, C]."""
    more = segments[:, -1:].expand(-1, -segments.shape[1] % size)
    parts = torch.cat((segments, more), dim=1).unflatten(1, (-1, size))
    before = torch.cat((parts[:, :1, 0], parts[:, :-1, -1]), dim=1)
    return parts[..., None] == parts[..., None, :], parts == before[..., None]


def by_turns(kept: Tensor, added: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """S_{n+1} = kept_n S_n + added_n: kept [B, H, N, E, E], added [B, H, N, E, V], S_0 → S_0 … S_{N-1}, and S_N."""
    begins = []
    for factor, summand in zip(kept.unbind(2), added.unbind(2), strict=True):
        begins.append(state)
        state = summand + factor @ state
    return torch.stack(begins, dim=2), state
