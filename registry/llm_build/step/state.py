"""State: everything that a batch of conversations keeps between calls. Legend: B rows, T new positions, R some rows."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from llm_build.errors import CapacityError
from llm_build.step.book import Book

if TYPE_CHECKING:
    from llm_build.step.pool import Pool
    from llm_build.step.view import Sizes, View


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A place to come back to: the length of every row, and what was kept per sequence."""

    lengths: Tensor
    sequences: Sequence[Mapping[str, Tensor]]
    start: int
    bounds: Sequence[int]
    moves: int


class State:
    """The lengths of all rows and the storage of every mixer, or of some rows that follow each other: see `range`.

    One round is `reserve`, then one call of the model; another reserve, a reset, a fork or a rewind in between voids
    what was reserved.

    `lengths` [B] int64 on the device are the only ones, `memory_lengths` [B] those of what an encoder made. The host
    knows an upper bound of each length, so nothing waits for the device: `reserve` is the single place where room is
    checked, and it refuses before anything changes. `span` bounds the lengths in the call that was reserved.
    """

    def __init__(self, views: Sequence[Mapping[str, View]], sizes: Sizes, device: torch.device) -> None:
        self.views = views
        self.rows, self.capacity, self.max_step, self.memory = sizes.rows, sizes.capacity, sizes.max_step, sizes.memory
        self.lengths = torch.zeros(sizes.rows, dtype=torch.int64, device=device)
        self.memory_lengths = torch.zeros_like(self.lengths)
        self._pools = list(dict.fromkeys(view.pool for view in self._all_views() if view.pool is not None))
        slack = min((view.slack for view in self._all_views() if view.slack is not None), default=None)
        self._start, self._book = 0, Book(sizes.rows, sizes.capacity, sizes.max_step, slack)
        self.span = self._book.span(0, sizes.rows)
        self._granted: int | None = None
        self._granted_rows: list[int] = []
        self._alone()

    def _alone(self) -> None:
        """No range of this storage is known but this one."""
        self._ranges: weakref.WeakValueDictionary[tuple[int, int], State] = weakref.WeakValueDictionary()
        self._ranges[self._start, self._start + self.rows] = self

    def __getstate__(self) -> dict[str, Any]:
        """Without the ranges: those of a copy are its own."""
        return {name: each for name, each in vars(self).items() if name != "_ranges"}

    def __setstate__(self, held: Mapping[str, Any]) -> None:
        vars(self).update(held)
        self._alone()

    def range(self, start: int, stop: int) -> State:
        """The rows from `start` to `stop` - 1 as a state of their own, on the same storage: nothing is copied.

        What comes to a row here has come to it there. The model runs on these rows alone, numbered from 0:
        `model.hidden(tokens [stop - start, T], state.range(start, stop))`. While one is held, the same rows give the
        same range. Raises `CapacityError` for rows that are not there, and for none.
        """
        if not 0 <= start < stop <= self.rows:
            raise CapacityError(f"this state holds rows 0 to {self.rows - 1}; a range from {start} to {stop} arrived")
        place = self._start + start, self._start + stop
        found = self._ranges.get(place)
        if found is None:
            found = self._ranges[place] = self._narrowed(start, stop)
        return found

    def _narrowed(self, start: int, stop: int) -> State:
        made = copy(self)
        made._ranges = self._ranges
        # views born under inference mode could not be written outside of it
        with torch.inference_mode(False):
            made.lengths, made.memory_lengths = self.lengths[start:stop], self.memory_lengths[start:stop]
            made.views = [{name: view.range(start, stop) for name, view in layer.items()} for layer in self.views]
        made.rows, made._start = stop - start, self._start + start
        made._granted, made._granted_rows = None, []
        return made

    def reserve(self, count: int | Sequence[int]) -> None:
        """Make room for `count` tokens a row, one number for all or one each, in the next call of the model.

        `count` bounds what that call appends. Raises `CapacityError`, having changed nothing, where a row or a pool is
        too small or more than `max_step` tokens are asked for.
        """
        counts = [count] * self.rows if isinstance(count, int) else list(count)
        if len(counts) != self.rows:
            raise CapacityError(f"this state holds {self.rows} rows; counts for {len(counts)} arrived")
        self._book.refuse(self._start, counts)
        after = self._book.rows - self._start - self.rows
        everywhere = [0] * self._start + counts + [0] * after
        for pool in self._pools:
            pool.reserve(self._book.bounds, everywhere)
        self._void()
        self._book.take(everywhere)
        self._granted, self._granted_rows = max(counts), counts
        self.span = self._book.span(self._start, self._start + self.rows)

    def refuse(self, lengths: Sequence[int]) -> None:
        """Raises `CapacityError` where a pool cannot hold rows of so many tokens each at once, whatever is held now."""
        for pool in self._pools:
            pool.refuse(lengths)

    def reset(self, rows: Iterable[int]) -> None:
        """Forget these rows, so that another conversation can start in each."""
        forgotten = sorted(set(rows))
        self._refuse_rows("a reset", forgotten)
        self._void()
        places = self._places(forgotten)
        self._book.forget(places)
        for pool in self._pools:
            pool.reset(places)
        index = self._index(forgotten)
        # a number of the host put into places of a GPU would wait for the device
        self.lengths.index_fill_(0, index, 0)
        self.memory_lengths.index_fill_(0, index, 0)
        for view in self._all_views():
            view.reset(index)

    def fork(self, source: Sequence[int], target: Sequence[int]) -> None:
        """Make row target[i] a copy of row source[i], for every i: the two then go on by themselves.

        Raises `CapacityError`, having changed nothing, where a row is not there or is written twice. Rows that share a
        pool wait for the device: what they have in common ends with their length.
        """
        self._refuse_rows("a fork", [*source, *target])
        if len(source) != len(target) or len(set(target)) < len(target):
            raise CapacityError(f"a fork writes each row once, from one row; {list(source)} to {list(target)} arrived")
        self._void()
        self._book.copy(self._places(source), self._places(target))
        one, other = self._index(source), self._index(target)
        for pool in self._pools:
            pool.fork(self._places(source), self._places(target), self.lengths[one].tolist())
        for lengths in (self.lengths, self.memory_lengths):
            lengths[other] = lengths[one]
        for view in self._all_views():
            view.fork(one, other)

    def mark(self) -> Mark:
        """This place, to come back to when the tokens that follow are rejected."""
        sequences = [{name: kept.clone() for name, kept in view.sequence.items()} for view in self._all_views()]
        bounds = tuple(self._book.bounds[self._start : self._start + self.rows])
        return Mark(self.lengths.clone(), sequences, self._start, bounds, self._book.moves)

    def rewind(self, mark: Mark) -> None:
        """Go back to a mark, as often as wanted; then replay what was accepted, with its `count`.

        A mark holds until a row is reset or forked, and where a mixer keeps only the latest tokens until more than
        `max_step` others may follow it. Memory stays as it is. Raises `CapacityError`, having changed nothing, for a
        mark that no longer holds, and for one of other rows.
        """
        if (mark.start, len(mark.bounds)) != (self._start, self.rows):
            raise CapacityError("a mark is of the rows that it was made of; one of another range arrived")
        self._book.refuse_mark(self._start, mark.bounds, mark.moves)
        self._void()
        self.lengths.copy_(mark.lengths)
        self._book.go_back(self._start, mark.bounds)
        for view, sequence in zip(self._all_views(), mark.sequences, strict=True):
            for name, kept in sequence.items():
                view.sequence[name].copy_(kept)

    def begin(self, count: Tensor | None, new: int) -> tuple[Tensor, Tensor]:
        """index [B, T], -1 past `count`, and positions [B, T] of `new` tokens a row. Changes nothing.

        Models call this through `Step.begin`. Raises `CapacityError` where `reserve` was not called for this call.
        """
        if self._granted is None or (count is None and new > self._granted):
            raise CapacityError(
                f"{new} tokens a row arrived, {self._granted or 0} are reserved; call state.reserve first"
            )
        self._refuse_more(count)
        offset = torch.arange(new, device=self.lengths.device)
        positions = self.lengths[:, None] + offset
        if count is None:
            return positions, positions
        return torch.where(offset < count[:, None], positions, -1), positions

    def _refuse_more(self, count: Tensor | None) -> None:
        # on a GPU looking would wait for the device; there `reserve` is taken at its word
        if count is None or count.device.type != "cpu" or torch.compiler.is_compiling():
            return
        for row, (new, granted) in enumerate(zip(count.tolist(), self._granted_rows, strict=True)):
            if new > granted:
                raise CapacityError(f"{new} tokens arrived for row {row}, {granted} are reserved; reserve what arrives")

    def remember(self, memory: Tensor, count: Tensor | None) -> Tensor:
        """Take over the lengths of a memory [B, M, D] that comes with a call → how many places of each row are new [B].

        A count of -1 keeps what the row has. Models call this through `Step.begin`. Raises `CapacityError`, having
        changed nothing, where the state was made for less.
        """
        width = memory.shape[1]
        if width > self.memory:
            raise CapacityError(
                f"this state holds a memory of {self.memory} places a row; {width} arrived: "
                f"make the state with memory={width}"
            )
        if count is None:
            count = torch.full_like(self.memory_lengths, width)
        self.memory_lengths.copy_(torch.where(count < 0, self.memory_lengths, count))
        return count

    def advance(self, count: Tensor | int) -> None:
        """Count this call's tokens in; what was reserved is used up. The model does it once a call; layers never do."""
        self.lengths.add_(count)
        self._granted = None

    @property
    def nbytes(self) -> int:
        """Bytes of all that is held on the device. Of a model on the meta device they are known and not allocated."""
        holders: list[View | Pool] = [*self._all_views(), *self._pools]
        every = [self.lengths, self.memory_lengths, *(each for holder in holders for each in holder.tensors())]
        here = {id(each): each for each in every if each.device == self.lengths.device}
        return sum(each.numel() * each.element_size() for each in here.values())

    def _void(self) -> None:
        """What was reserved before, here or for a range, means nothing now."""
        for each in self._ranges.values():
            each._granted = None

    def _places(self, rows: Iterable[int]) -> list[int]:
        """The numbers of rows in the whole state."""
        return [self._start + row for row in rows]

    def _all_views(self) -> Iterator[View]:
        for layer in self.views:
            yield from layer.values()

    def _index(self, rows: Sequence[int]) -> Tensor:
        index, device = torch.tensor(rows, dtype=torch.int64), self.lengths.device
        # a copy from pinned memory waits for nothing
        return index.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else index.to(device)

    def _refuse_rows(self, what: str, rows: Sequence[int]) -> None:
        if rows and not 0 <= min(rows) <= max(rows) < self.rows:
            raise CapacityError(f"this state holds rows 0 to {self.rows - 1}; {what} of {sorted(rows)} arrived")
