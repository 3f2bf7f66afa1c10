"""Pool: what the rows of a state draw on together. Legend: B rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from llm_build.step.view import held

if TYPE_CHECKING:
    from torch import Tensor

    from llm_build.step.field import StateSpec
    from llm_build.step.view import View


class Pool(ABC):
    """Room that the rows of a state share, such as pages: one pool a state, for all of its mixers.

    A state calls it on the host, between calls of the model: nothing of it runs in a graph. What a graph reads of it,
    such as a page table, is a tensor that never moves. A rewind is not told: what a row was given it keeps.
    """

    @abstractmethod
    def view(self, spec: StateSpec) -> View:
        """Allocate the storage of one mixer."""

    @abstractmethod
    def reserve(self, bounds: Sequence[int], counts: Sequence[int]) -> None:
        """Give each row b, which holds at most bounds[b] tokens, room for counts[b] more.

        Raises `CapacityError`, having changed nothing, where there is not enough.
        """

    def refuse(self, lengths: Sequence[int]) -> None:  # noqa: B027 (room that does not run out refuses nobody)
        """Raises `CapacityError` where rows of so many tokens each, which share nothing, never have room in it at once.

        A generator asks before it lets a text in, so that `reserve` has what it needs to the end of it. As it is here
        nothing is refused: right for room that does not run out.
        """

    @abstractmethod
    def reset(self, rows: Sequence[int]) -> None:
        """Take back what these rows have, and zero what nobody else has."""

    @abstractmethod
    def fork(self, source: Sequence[int], target: Sequence[int], lengths: Sequence[int]) -> None:
        """Let row target[i] have what row source[i] has, whose length is lengths[i], for every i at once."""

    def tensors(self) -> Iterator[Tensor]:
        """All tensors that it holds; memory is counted by them."""
        yield from held(vars(self).values())
