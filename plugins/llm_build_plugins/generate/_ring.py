"""A ring: what is read of the latest tokens alone is kept of no others.

Legend: B rows, T new positions, N cells of a row, S cells that may be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

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

    Old and new tokens are read together, and only then are the new ones written. The slack of max_step - 1 cells holds
    what is still needed where a whole step is rejected.
    """

    def __init__(self, spec: StateSpec, sizes: Sizes, like: Tensor, codec: Codec) -> None:
        super().__init__(spec, sizes, like, codec)
        reach = reach_of(spec)
        assert reach is not None, "a ring is for fields of which the latest tokens are read"
        self.reach, self.slack = reach, sizes.max_step
        self.size = reach + sizes.max_step - 1
        self.row = torch.arange(sizes.rows, device=like.device)[:, None]
        self.cell = torch.arange(self.size, device=like.device)
        self.cells = self.zeros(sizes.rows, self.size + 1, like=like)

    def range(self, start: int, stop: int) -> Self:
        made = super().range(start, stop)
        made.row = self.row[: stop - start]
        return made

    def extend(self, new: Mapping[str, Tensor], step: Step) -> tuple[dict[str, Tensor], Tensor]:
        used, planes = min(step.span, self.size), self.encoded(new)
        read = {name: torch.cat((self.cells[name][:, :used], value), 1) for name, value in planes.items()}
        k_index = torch.cat((self._places(step, used), step.index), 1)
        cell = torch.where(step.index < 0, self.size, step.index % self.size)
        for name, value in planes.items():
            self.cells[name][self.row, cell] = value
        return self.decoded(read, new), k_index

    def _places(self, step: Step, used: int) -> Tensor:
        """The place [B, used] of what each cell held before this call, -1 where nothing will be read."""
        assert step.lengths is not None, "a view comes with a state, and a state has lengths"
        old = (step.lengths - (step.index.shape[1] if step.count is None else step.count))[:, None]
        place = old - 1 - (old - 1 - self.cell[:used]) % self.size
        return torch.where((place >= 0) & (place > old - self.reach), place, -1)
