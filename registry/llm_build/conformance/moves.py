"""How far each output of a mixer moves with each of its inputs. Legend: K tries, T positions, M places of a memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from llm_build.conformance.trial import Trial

TRIES = 6
NONE, SOME = 1e-9, 1e-12
"""Changes up to NONE may be rounding; changes from SOME on are none. In between nothing is said."""


@torch.no_grad()
def moves(trial: Trial, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """x [K, S, …] and a function of it with values [K, T, …] → [T, S]: how far y[t] moves as x[s] becomes another.

    Each of the K rows is a try, the greatest change counts, as a share of the greatest number where that is above 1.
    The function is called with S times as many rows.
    """
    tries, places = x.shape[:2]
    other = trial.normal(*x.shape, scale=2.0)
    here = torch.eye(places, dtype=torch.bool)[:, None, :, None]
    changed = torch.where(here, other[None], x[None])  # [S, K, S, …]
    before = function(x)
    after = function(changed.flatten(0, 1)).unflatten(0, (places, tries))
    scale = before.abs().max().clamp(min=1)
    found: Tensor = (after - before).abs().amax((1, 3)).T / scale
    return found
