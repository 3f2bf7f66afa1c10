"""Who has which page. On the host and free of torch: nothing here is read in a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from llm_build import CapacityError


class Ledger:
    """`total` pages of `page` tokens, and the rows that have them; a page may be had by several.

    A page that others have too is never written: whoever is to write it next gets a copy (copy on write, Kwon et al.
    2023, section 4.4). That is one page a row at most, the one in which its text ended when it was forked, since what
    comes before it is never written again.
    """

    def __init__(self, rows: int, total: int, page: int) -> None:
        self.total, self.page = total, page
        self.held: list[list[int]] = [[] for _ in range(rows)]
        self.changed: set[int] = set()
        """Rows whose pages are others than when this was cleared."""
        # what is here grows with the pages in use: a pool may be asked what it takes that no memory holds
        self._begun = 0
        self._free: list[int] = []
        """Pages that were had before; those from `_begun` on never were."""
        self._uses: dict[int, int] = {}
        self._last: dict[int, int] = {}
        """Of a row that was forked, where in its pages the one stands that it would write next."""

    @property
    def free(self) -> int:
        """How many pages nobody has."""
        return self.total - self._begun + len(self._free)

    def reserve(self, bounds: Sequence[int], counts: Sequence[int]) -> list[tuple[int, int]]:
        """Give every row b that takes tokens what it lacks for bounds[b] + counts[b] → pages to be copied, (from, to).

        Raises `CapacityError`, having changed nothing, where fewer pages are free.
        """
        writing = [row for row, count in enumerate(counts) if count]
        lacking = {row: max(0, self._pages(bounds[row] + counts[row]) - len(self.held[row])) for row in writing}
        copied = self._shared(writing)
        needed = sum(lacking.values()) + len(copied)
        if needed > self.free:
            raise CapacityError(
                f"this call needs {needed} more pages of {self.page} tokens, and {self.free} of {self.total} are free: "
                f"reset a row, or make the cache with more pages (none: enough for every row)"
            )
        copies = [(self.held[row][place], self._swap(row, place)) for row, place in copied]
        self.changed |= {row for row, count in lacking.items() if count} | {row for row, _ in copied}
        for row, count in lacking.items():
            self.held[row] += [self._take() for _ in range(count)]
            self._last.pop(row, None)
        return copies

    def refuse(self, lengths: Sequence[int]) -> None:
        """Raises `CapacityError` where rows of so many tokens each, which share no page, need more than there are."""
        needed = sum(map(self._pages, lengths))
        if needed > self.total:
            raise CapacityError(
                f"{sum(lengths):_} tokens take {needed:_} pages of {self.page}, and the cache has {self.total:_}: "
                f"make it with more (--set generate.cache.pages={needed})"
            )

    def reset(self, rows: Sequence[int]) -> list[int]:
        """Take back what these rows have → the pages that nobody has now."""
        self.changed.update(rows)
        given = [page for row in rows for page in self.held[row]]
        for row in rows:
            self.held[row] = []
            self._last.pop(row, None)
        return self._give_back(given)

    def fork(self, source: Sequence[int], target: Sequence[int], lengths: Sequence[int]) -> list[int]:
        """Row target[i] has the pages of row source[i] that its lengths[i] tokens lie in → the pages nobody has now."""
        shared = [self.held[row][: self._pages(length)] for row, length in zip(source, lengths, strict=True)]
        for page in (page for pages in shared for page in pages):
            self._uses[page] += 1
        # rows may change places: what a row was is noted before what it becomes
        self._note(source, lengths)
        freed = self.reset(target)
        self._note(target, lengths)
        for other, pages in zip(target, shared, strict=True):
            self.held[other] = list(pages)
        return freed

    def _note(self, rows: Iterable[int], lengths: Iterable[int]) -> None:
        """Where each of these rows, of such lengths, goes on in a page that is shared from now on."""
        self._last.update({row: n // self.page for row, n in zip(rows, lengths, strict=True) if n % self.page})

    def _shared(self, rows: Iterable[int]) -> list[tuple[int, int]]:
        """(row, place) of each page that these rows write next and that another would still have after them."""
        found, left = [], Counter[int]()
        for row in rows:
            page = self.held[row][self._last[row]] if row in self._last else None
            if page is not None and self._uses[page] - left[page] > 1:
                left[page] += 1
                found.append((row, self._last[row]))
        return found

    def _swap(self, row: int, place: int) -> int:
        """A page of its own in the place of one that the row shares."""
        self._uses[self.held[row][place]] -= 1
        self.held[row][place] = page = self._take()
        return page

    def _take(self) -> int:
        if self._free:
            page = self._free.pop()
        else:
            page, self._begun = self._begun, self._begun + 1
        self._uses[page] = 1
        return page

    def _give_back(self, pages: Iterable[int]) -> list[int]:
        freed = []
        for page in pages:
            self._uses[page] -= 1
            if self._uses[page] == 0:
                freed.append(page)
        self._free += freed
        return freed

    def _pages(self, tokens: int) -> int:
        return -(-tokens // self.page)
