"""View: the storage of one mixer. Legend: B rows, T new positions, S cells that may be read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from llm_build.step.field import StateSpec
    from llm_build.step.step import Step


class View(ABC):
    """The storage of one mixer. A cache brings the layout of what is kept per token; what is kept per sequence is raw.

    Everything is allocated once and written in place, so that a buffer never moves.
    """

    def __init__(self, spec: StateSpec, rows: int, like: Tensor) -> None:
        self.sequence = {name: field.zeros(rows, like=like) for name, field in spec.items() if field.per == "sequence"}

    @abstractmethod
    def extend(self, new: Mapping[str, Tensor], step: Step) -> tuple[dict[str, Tensor], Tensor]:
        """Store `new` {name: [B, T, …]} at `step.index` and read back {name: [B, S, …]} and k_index [B, S].

        A token whose index is -1 is not stored. k_index is each cell's place in the sequence, -1 where it is empty, in
        any order.
        """

    @abstractmethod
    def reset_cells(self, rows: Tensor) -> None:
        """Zero what `rows` [R] keep per token: a stale NaN would pass through every masked softmax."""

    def reset(self, rows: Tensor) -> None:
        """Forget everything about `rows` [R]."""
        self.reset_cells(rows)
        for kept in self.sequence.values():
            kept[rows] = 0

    def keep(self, name: str, value: Tensor, count: Tensor | None) -> None:
        """Overwrite a sequence field with `value` [B, …]; a row without new tokens keeps what it has."""
        kept = self.sequence[name]
        if count is not None:
            live = (count > 0).view(-1, *[1] * (kept.dim() - 1))
            value = torch.where(live, value.to(kept.dtype), kept)
        kept.copy_(value)
