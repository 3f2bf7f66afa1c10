"""What a kernel is told beside queries, keys and values. Legend: B rows, T queries, S keys, H query heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from llm_build.attend.order import InOrder

Relation = Callable[[Tensor, Tensor], Tensor]
"""A function of (q_index [B, T, 1], k_index [B, 1, S])."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Places:
    """Where queries and keys stand.

    q_index [B, T] and k_index [B, S] are places in the sequence, -1 = no token; documents [B, T] are those of queries
    and keys alike. Where k_index is `InOrder`, keys and values are what is kept, as it says. Static: `plain`, nothing
    but causality decides what is seen; `padded`, some queries may be no token.
    """

    q_index: Tensor
    k_index: Tensor | InOrder
    documents: Tensor | None = None
    plain: bool = False
    padded: bool = False

    def index(self) -> Tensor:
        """k_index [B, S], once it was read."""
        assert isinstance(self.k_index, Tensor), "a kernel that needs the place of each cell reads cells first"
        return self.k_index

    def read(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Places]:
        """k and v as they are kept → k [B, S, K, E], v [B, S, K, Ev], and where these stand."""
        if isinstance(self.k_index, Tensor):
            return k, v, self
        kept = {"k": k} if k is v else {"k": k, "v": v}
        read, index = self.k_index.read(kept, self.q_index)
        return read["k"], read.get("v", read["k"]), replace(self, k_index=index)


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
