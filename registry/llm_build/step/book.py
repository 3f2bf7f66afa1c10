"""What the host knows of the rows of a state; the state and its ranges share it. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import add

from llm_build.errors import CapacityError


class Book:
    """Bounds of what each row holds: the lengths themselves lie on the device, and nobody waits for them.

    `bounds` say how many tokens a row may hold, `highest` the most that it may ever have held since its reset: a rewind
    lowers the bound alone. `moves` counts resets and forks; with `slack`, a mark holds for so many tokens more a row.
    """

    def __init__(self, rows: int, capacity: int, max_step: int, slack: int | None) -> None:
        self.rows, self.capacity, self.max_step, self.slack = rows, capacity, max_step, slack
        self.bounds, self.highest = [0] * rows, [0] * rows
        self.moves = 0

    def span(self, start: int, stop: int) -> int:
        """No row from `start` to `stop` is longer: their bound, rounded up so that it rarely changes."""
        return min(self.capacity, rounded_up(max(self.bounds[start:stop])))

    def refuse(self, start: int, counts: Sequence[int]) -> None:
        """Raises `CapacityError` unless row start + i has room for counts[i] more."""
        for row, new in enumerate(counts):
            bound = self.bounds[start + row]
            if not 0 <= new <= self.max_step:
                raise CapacityError(
                    f"a call appends from 0 to {self.max_step} tokens a row; {new} arrived for row {row}: "
                    f"feed them in chunks, or make the state with a larger max_step"
                )
            if bound + new > self.capacity:
                raise CapacityError(
                    f"row {row} may hold {bound} of {self.capacity} tokens and has no room for {new} more: "
                    f"reset the row, or make the state with a larger capacity"
                )

    def take(self, counts: Sequence[int]) -> None:
        """Every row b takes counts[b] more."""
        self.bounds = list(map(add, self.bounds, counts))
        self.highest = list(map(max, self.highest, self.bounds))

    def forget(self, rows: Iterable[int]) -> None:
        for row in rows:
            self.bounds[row] = self.highest[row] = 0
        self.moves += 1

    def copy(self, source: Sequence[int], target: Sequence[int]) -> None:
        known = [(self.bounds[row], self.highest[row]) for row in source]
        for row, (bound, highest) in zip(target, known, strict=True):
            self.bounds[row], self.highest[row] = bound, highest
        self.moves += 1

    def go_back(self, start: int, bounds: Sequence[int]) -> None:
        """The bounds of the rows from `start` on are those of a mark."""
        self.bounds[start : start + len(bounds)] = bounds

    def refuse_mark(self, start: int, bounds: Sequence[int], moves: int) -> None:
        """Raises `CapacityError` for a mark, of the rows from `start` on, that no longer holds."""
        if moves != self.moves:
            raise CapacityError("a mark holds until a row is reset or forked, and one was since: mark again after that")
        if self.slack is None:
            return
        for row, bound in enumerate(bounds):
            taken = self.highest[start + row] - bound
            if taken > self.slack:
                raise CapacityError(
                    f"a mixer keeps its latest tokens only, so a mark holds for {self.slack} more a row; row {row} "
                    f"may have taken {taken}: mark more often, or make the state with a larger max_step"
                )


def rounded_up(length: int) -> int:
    """The next of 64, 96, 128, 192, 256, 384 …: powers of two and what lies halfway. A text meets few of them."""
    power = 64
    while power < length:
        power *= 2
    return power // 4 * 3 if 64 < length <= power // 4 * 3 else power
