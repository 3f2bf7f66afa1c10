"""The dense cache: cell j of a row holds its token j. Legend: B rows, T new positions, S cells that may be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_build import View

if TYPE_CHECKING:
    from llm_build import Context, Sizes, StateSpec, Step
    from llm_build_plugins.generate.dense_config import dense


class DenseCache:
    """Lays out what a mixer keeps per token as [B, capacity + 1, …]."""

    def __init__(self, config: dense, context: Context) -> None:
        pass

    def view(self, spec: StateSpec, sizes: Sizes, like: Tensor) -> DenseView:
        """Any `max_step` fits: what is new is written where it stays."""
        return DenseView(spec, sizes, like)


class DenseView(View):
    """The cells of one mixer. The last one takes what is no token, at index -1, and is never read."""

    def __init__(self, spec: StateSpec, sizes: Sizes, like: Tensor) -> None:
        super().__init__(spec, sizes, like)
        self.row = torch.arange(sizes.rows, device=like.device)[:, None]
        self.place = torch.arange(sizes.capacity, device=like.device)
        tokens = {name: field for name, field in spec.items() if field.per == "token"}
        self.cells = {name: field.zeros(sizes.rows, sizes.capacity + 1, like=like) for name, field in tokens.items()}

    def extend(self, new: Mapping[str, Tensor], step: Step) -> tuple[dict[str, Tensor], Tensor]:
        for name, value in new.items():
            cells = self.cells[name]
            cells[self.row, step.index] = value.to(cells.dtype)
        assert step.lengths is not None, "a view comes with a state, and a state has lengths"
        place = self.place[: step.span]
        k_index = torch.where(place < step.lengths[:, None], place, -1)
        return {name: self.cells[name][:, : step.span] for name in new}, k_index

    def reset_cells(self, rows: Tensor) -> None:
        for cells in self.cells.values():
            cells[rows] = 0

    def fork_cells(self, source: Tensor, target: Tensor) -> None:
        for cells in self.cells.values():
            cells[target] = cells[source]
