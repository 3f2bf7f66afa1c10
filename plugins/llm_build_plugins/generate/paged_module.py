"""The paged cache: token p of a row lies in page p // page of those that it has.

Legend: B rows, T new positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from llm_build import InOrder, Pool
from llm_build_plugins.generate._layout import Layout, token_bytes
from llm_build_plugins.generate._pages import Ledger
from llm_build_plugins.generate._ring import RingView, is_ring
from llm_build_plugins.generate._sent import sent

if TYPE_CHECKING:
    from llm_build import Context, Field, Sizes, StateSpec, Step
    from llm_build.interfaces import Codec
    from llm_build_plugins.generate.paged_config import paged


class PagedCache:
    """Lays out what a mixer keeps per token as [pages, page, …], in pages that all rows draw on."""

    def __init__(self, config: paged, context: Context) -> None:
        self.page, self.pages = config.page, config.pages
        self.codec = config.part("codec", context)

    def pool(self, sizes: Sizes, like: Tensor) -> PagePool:
        """The pages of one state."""
        return PagePool(sizes, like, self.codec, self.page, self.pages)

    def view(self, spec: StateSpec, sizes: Sizes, like: Tensor) -> Layout:
        """The storage of one mixer with pages of its own, all given out. Raises `CapacityError` for too few `pages`."""
        pool = self.pool(sizes, like)
        pool.reserve([0] * sizes.rows, [sizes.capacity] * sizes.rows)
        return pool.view(spec)

    def token_bytes(self, field: Field) -> int:
        return token_bytes(self.codec, field)


class PagePool(Pool):
    """One page table [B, capacity / page] for all mixers: page n of it is page n in the cells of each.

    Two pages more are nobody's. `empty` stands in the table where a row has none: it is read, and always zero. `spill`
    takes what is no token, and is never read.
    """

    def __init__(self, sizes: Sizes, like: Tensor, codec: Codec, page: int, pages: int | None) -> None:
        longest = -(-sizes.capacity // page)
        self.page = page
        self.ledger = Ledger(sizes.rows, sizes.rows * longest if pages is None else pages, page)
        self.empty, self.spill = self.ledger.total, self.ledger.total + 1
        # on the host, but for a pool that is only asked what it takes
        host = "meta" if like.device.type == "meta" else "cpu"
        self._known = torch.full((sizes.rows, longest), self.empty, device=host)
        self.table = self._known.to(like.device, copy=True)
        self._sizes, self._like, self._codec = sizes, like, codec
        self._cells: list[Tensor] = []

    def view(self, spec: StateSpec) -> Layout:
        """A ring where that takes fewer cells than a token each, which has its room from the start."""
        if is_ring(spec, self._sizes):
            return RingView(spec, self._sizes, self._like, self._codec)
        view = PagedView(spec, self._sizes, self._like, self._codec, self)
        self._cells += view.cells.values()
        return view

    def reserve(self, bounds: Sequence[int], counts: Sequence[int]) -> None:
        copies = self.ledger.reserve(bounds, counts)
        if copies:
            old, new = (self._index(pages) for pages in zip(*copies, strict=True))
            for cells in self._cells:
                cells[new] = cells[old]
        self._publish()

    def refuse(self, lengths: Sequence[int]) -> None:
        self.ledger.refuse(lengths)

    def reset(self, rows: Sequence[int]) -> None:
        self._clear(self.ledger.reset(rows))

    def fork(self, source: Sequence[int], target: Sequence[int], lengths: Sequence[int]) -> None:
        self._clear(self.ledger.fork(source, target, lengths))

    def range(self, start: int, stop: int) -> PagePool:
        """What the rows from `start` to `stop` - 1 read: their part of the table, over the same pages."""
        made = copy(self)
        made.table = self.table[start:stop]
        return made

    def tensors(self) -> Iterator[Tensor]:
        """What lies on the device; the host keeps a copy of the table."""
        yield from (self.table, *self._cells)

    def _clear(self, pages: Sequence[int]) -> None:
        """Zero pages that nobody has: what is not a number would pass through the masks of the next who has them."""
        if pages:
            index = self._index(pages)
            for cells in self._cells:
                cells.index_fill_(0, index, 0)
        self._publish()

    def _publish(self) -> None:
        """Write the table on the device where it changed."""
        for row in self.ledger.changed:
            pages = torch.tensor(self.ledger.held[row], dtype=torch.int64)
            self._known[row] = self.empty
            self._known[row, : len(pages)] = pages
        if self.ledger.changed:
            self.table.copy_(sent(self._known, self.table.device))
            self.ledger.changed.clear()

    def _index(self, pages: Sequence[int]) -> Tensor:
        return sent(pages, self._like.device)


class PagedView(Layout):
    """The cells of one mixer. Its pool says whose they are, and copies and zeroes them."""

    def __init__(self, spec: StateSpec, sizes: Sizes, like: Tensor, codec: Codec, pool: PagePool) -> None:
        super().__init__(spec, sizes, like, codec)
        self.pool = self.pages = pool
        self.cells = self.zeros(pool.ledger.total + 2, pool.page, like=like)

    def range(self, start: int, stop: int) -> Self:
        made = super().range(start, stop)
        made.cells, made.pages = self.cells, self.pages.range(start, stop)
        return made

    def write(self, planes: Mapping[str, Tensor], step: Step) -> InOrder:
        to, cell = self._cells_of(step.index)
        for name, value in planes.items():
            self.cells[name][to, cell] = value
        assert step.lengths is not None, "a view comes with a state, and a state has lengths"
        return InOrder(lengths=step.lengths, span=step.span, table=self.pages.table)

    def _cells_of(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The page and the cell in it [B, T] of every place; what has none goes where it spoils nobody."""
        pool, place = self.pages, index.clamp(min=0)
        page = pool.table.gather(1, place // pool.page)
        return torch.where((index < 0) | (page == pool.empty), pool.spill, page), place % pool.page

    def reset_cells(self, rows: Tensor) -> None:
        """The pool does it, once for all mixers."""

    def fork_cells(self, source: Tensor, target: Tensor) -> None:
        """The pool does it, once for all mixers."""
