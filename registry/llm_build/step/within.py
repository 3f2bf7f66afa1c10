"""Some rows of a storage that cannot be cut. Legend: B rows of the whole, R of the range, T new positions, S cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_build.step.view import View, narrowed

if TYPE_CHECKING:
    from llm_build.step.step import Step


class Within(View):
    """The rows from `start` to `stop` - 1 of `whole`: it is asked for all rows, and the others take no token."""

    def __init__(self, whole: View, start: int, stop: int) -> None:
        self.whole, self.start, self.stop = whole, start, stop
        self.pool, self.slack, self.rows_held = whole.pool, whole.slack, stop - start
        self.sequence = narrowed(whole.sequence, start, stop)
        self.memory = narrowed(whole.memory, start, stop)

    def range(self, start: int, stop: int) -> View:
        return self.whole.range(self.start + start, self.start + stop)

    def extend(self, new: Mapping[str, Tensor], step: Step) -> tuple[dict[str, Tensor], Tensor]:
        """new {name: [R, T, …]} → {name: [R, S, …]} and k_index [R, S]."""
        assert step.lengths is not None, "a view comes with a state, and a state has lengths"
        count = step.count
        if count is None:
            count = torch.full_like(step.lengths, step.index.shape[1])
        everywhere = replace(
            step,
            index=self._among(step.index, -1),
            positions=self._among(step.positions, 0),
            count=self._among(count, 0),
            lengths=self._among(step.lengths, 0),
        )
        fields, k_index = self.whole.extend({name: self._among(each, 0) for name, each in new.items()}, everywhere)
        return narrowed(fields, self.start, self.stop), k_index[self.start : self.stop]

    def reset_cells(self, rows: Tensor) -> None:
        self.whole.reset_cells(rows + self.start)

    def fork_cells(self, source: Tensor, target: Tensor) -> None:
        self.whole.fork_cells(source + self.start, target + self.start)

    def rounded(self, new: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.whole.rounded(new)

    def tensors(self) -> Iterator[Tensor]:
        yield from self.whole.tensors()

    def _among(self, some: Tensor, fill: int) -> Tensor:
        """[R, …] as [B, …], with `fill` for the other rows."""
        everywhere = some.new_full((self.whole.rows_held, *some.shape[1:]), fill)
        everywhere[self.start : self.stop] = some
        return everywhere
