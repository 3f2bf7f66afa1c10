from copy import copy

import torch
from llm_build import View, narrowed


class Thing:
    """Lays out what a mixer keeps per token as [B, capacity + 1, …]."""

    def __init__(self, config, context):
        self.config = config

    def view(self, spec, sizes, like):
        return Cells(spec, sizes, like)


class Cells(View):
    """The cells of one mixer. Index -1 is no token: it goes into the last cell, which is never read."""

    def __init__(self, spec, sizes, like):
        super().__init__(spec, sizes, like)
        kept = {name: field for name, field in spec.items() if field.per == "token"}
        self.cells = {name: field.zeros(sizes.rows, sizes.capacity + 1, like=like) for name, field in kept.items()}
        self.row = torch.arange(sizes.rows, device=like.device)[:, None]
        self.place = torch.arange(sizes.capacity, device=like.device)

    def range(self, start, stop):
        made = copy(self)
        made.rows_held, made.row = stop - start, self.row[: stop - start]
        kept = (self.sequence, self.memory, self.cells)
        made.sequence, made.memory, made.cells = (narrowed(each, start, stop) for each in kept)
        return made

    def extend(self, new, step):
        for name, value in new.items():
            self.cells[name][self.row, step.index] = value.to(self.cells[name].dtype)
        place = self.place[: step.span]
        k_index = torch.where(place < step.lengths[:, None], place, -1)
        return {name: self.cells[name][:, : step.span] for name in new}, k_index

    def reset_cells(self, rows):
        for cells in self.cells.values():
            cells[rows] = 0

    def fork_cells(self, source, target):
        for cells in self.cells.values():
            cells[target] = cells[source]
