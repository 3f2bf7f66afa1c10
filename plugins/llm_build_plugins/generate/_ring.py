"""A ring: what is read of the latest tokens alone is kept of no others.

Legend: B rows, T new positions, N cells of a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from llm_build import InOrder
from llm_build_plugins.generate._layout import Layout

if TYPE_CHECKING:
    from llm_build import Sizes, StateSpec, Step
    from llm_build.interfaces import Codec


def reach_of(spec: StateSpec) -> int | None:
    """How many of the latest tokens a mixer reads; None for all.

    Its fields are read under one set of places, so the longest reach decides.
    """
    fields = [field for field in spec.values() if field.per == "token"]
    bounded = [field.reach for field in fields if field.reach is not None]
    return max(bounded) if bounded and len(bounded) == len(fields) else None


def is_ring(spec: StateSpec, sizes: Sizes) -> bool:
    """Whether a ring takes less than a cell a token."""
    reach = reach_of(spec)
    return reach is not None and reach + sizes.max_step - 1 < sizes.capacity


class RingView(Layout):
    """N = reach + max_step - 1 cells a row: place p lies in cell p mod N. One more takes what is no token, unread.

    New tokens are written before anything is read. The slack of max_step - 1 cells holds what the first of them still
    reads, and what is needed again where a whole step is rejected.
    """

    def __init__(self, spec: StateSpec, sizes: Sizes, like: Tensor, codec: Codec) -> None:
        super().__init__(spec, sizes, like, codec)
        reach = reach_of(spec)
        assert reach is not None, "a ring is for fields of which the latest tokens are read"
        self.reach, self.slack = reach, sizes.max_step
        self.size = reach + sizes.max_step - 1
        self.row = torch.arange(sizes.rows, device=like.device)[:, None]
        self.cells = self.zeros(sizes.rows, self.size + 1, like=like)

    def range(self, start: int, stop: int) -> Self:
        made = super().range(start, stop)
        made.row = self.row[: stop - start]
        return made

    def write(self, planes: Mapping[str, Tensor], step: Step) -> InOrder:
        cell = torch.where(step.index < 0, self.size, step.index % self.size)
        for name, value in planes.items():
            self.cells[name][self.row, cell] = value
        assert step.lengths is not None, "a view comes with a state, and a state has lengths"
        return InOrder(lengths=step.lengths, span=step.span, ring=self.size, reach=self.reach)
