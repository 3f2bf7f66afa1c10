"""Cells in the order of their places, which tells kernels where keys and values lie without an index of them.

Legend: B rows, T queries, S cells that may be read, C cells of a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InOrder:
    """Where the tokens of each row lie: row b holds the places below lengths[b].

    Place p lies in cell p of what is kept [B, C, …]. With `ring` it lies in cell p % ring, and only the `reach` latest
    places before each row's first query, and what follows, are still there. With `table` [B, pages] it lies in cell
    p % page of page table[b, p // page] of what is kept [all pages, page, …].

    lengths  [B] int64, new tokens included
    span     static: no row is longer, so that who copies cells copies few; C may be far larger
    """

    lengths: Tensor
    span: int
    ring: int | None = None
    reach: int | None = None
    table: Tensor | None = None

    def rows(self, fields: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], InOrder]:
        """{name: what is kept} → {name: [B, S, …]}, the cells in use row by row, and where places lie in these."""
        if self.table is None:
            used = self.span if self.ring is None else min(self.span, self.ring)
            return {name: kept[:, :used] for name, kept in fields.items()}, self
        page = next(iter(fields.values())).shape[1]
        pages = self.table[:, : -(-self.span // page)]
        read = {name: kept[pages].flatten(1, 2) for name, kept in fields.items()}
        return read, replace(self, span=pages.shape[1] * page, table=None)

    def index(self, q_index: Tensor, cells: int) -> Tensor:
        """q_index [B, T] → the place [B, S] of the first `cells` cells of each row, -1 where nothing may be read."""
        cell = torch.arange(cells, device=self.lengths.device)
        if self.ring is None:
            return torch.where(cell < self.lengths[:, None], cell, -1)
        assert self.reach is not None, "a ring says how far back it reaches"
        last = self.lengths[:, None] - 1
        place = last - (last - cell) % self.ring
        return torch.where((place >= 0) & (place > q_index[:, :1] - self.reach), place, -1)

    def read(self, fields: Mapping[str, Tensor], q_index: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """{name: what is kept} and q_index [B, T] → {name: [B, S, …]} and the place [B, S] of each cell."""
        read, where = self.rows(fields)
        return read, where.index(q_index, next(iter(read.values())).shape[1])
