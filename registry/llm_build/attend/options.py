"""What a kernel is told beside queries, keys and values. Legend: B rows, T queries, S keys, H query heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Relation = Callable[[Tensor, Tensor], Tensor]
"""A function of (q_index [B, T, 1], k_index [B, 1, S])."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Places:
    """Where queries and keys stand.

    q_index [B, T] and k_index [B, S] are places in the sequence, -1 = no token; documents [B, T] are those of queries
    and keys alike. Static: `plain`, nothing but causality decides what is seen; `padded`, some queries may be no token.
    """

    q_index: Tensor
    k_index: Tensor
    documents: Tensor | None = None
    plain: bool = False
    padded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Options:
    """How a mixer attends. `Step.attend` says what each option means."""

    causal: bool = True
    window: int | None = None
    scale: float | None = None
    softcap: float | None = None
    sinks: Tensor | None = None
    bias: Relation | None = None
    mask: Relation | None = None
    dropout: float = 0.0
