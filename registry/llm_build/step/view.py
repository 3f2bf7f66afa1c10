"""View: the storage of one mixer. Legend: B rows, T new positions, S cells that may be read, M memory length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from llm_build.attend import InOrder
    from llm_build.step.field import StateSpec
    from llm_build.step.pool import Pool
    from llm_build.step.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large a state is: `rows` conversations of at most `capacity` tokens, `max_step` a row and call, and `memory`
    places of a memory."""

    rows: int
    capacity: int
    max_step: int
    memory: int = 0


class View(ABC):
    """The storage of one mixer. A cache brings the layout of what is kept per token; all else is raw.

    Everything is allocated once and written in place, so that a buffer never moves.
    """

    pool: Pool | None = None
    """What its rows draw on together with those of other mixers; None where each has its own room from the start."""
    slack: int | None = None
    """How many tokens of a row may have been written past a mark that is come back to; None: any number."""

    def __init__(self, spec: StateSpec, sizes: Sizes, like: Tensor) -> None:
        def zeros(per: str, *lead: int) -> dict[str, Tensor]:
            return {name: field.zeros(*lead, like=like) for name, field in spec.items() if field.per == per}

        self.rows_held = sizes.rows
        self.sequence = zeros("sequence", sizes.rows)
        self.memory = zeros("memory", sizes.rows, sizes.memory)

    @abstractmethod
    def extend(self, new: Mapping[str, Tensor], step: Step) -> tuple[dict[str, Tensor], Tensor]:
        """Store `new` {name: [B, T, …]} at `step.index` and read back {name: [B, S, …]} and k_index [B, S].

        A token whose index is -1 is not stored. k_index is each cell's place in the sequence, -1 where it is empty, in
        any order.
        """

    def store(self, new: Mapping[str, Tensor], step: Step) -> tuple[dict[str, Tensor], Tensor | InOrder]:
        """Store `new` {name: [B, T, …]} as `extend` does, for a kernel that reads cells where they lie.

        A view with cells in the order of their places gives {name: all that it keeps} and `InOrder`, which says where a
        place lies. Then nothing is copied, nothing depends on the host's `step.span`, and what is read follows lengths
        on the device. Any other view gives what `extend` gives.
        """
        return self.extend(new, step)

    @abstractmethod
    def reset_cells(self, rows: Tensor) -> None:
        """Zero what `rows` [R] keep per token: a stale NaN would pass through every masked softmax."""

    @abstractmethod
    def fork_cells(self, source: Tensor, target: Tensor) -> None:
        """Make what the rows `target` [R] keep per token that of the rows `source` [R]."""

    def rounded(self, new: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `extend` gives back for `new` {name: [B, T, …]}, without storing it; itself unless numbers are coded."""
        return dict(new)

    def range(self, start: int, stop: int) -> View:
        """The storage of the rows from `start` to `stop` - 1 as a view of its own, which shares every tensor.

        As it is here, it goes through the whole: right for any layout, and as slow as all rows are. A layout is as fast
        as the rows if it gives back a copy of itself in which `rows_held` and what has a row are `narrowed`.
        """
        from llm_build.step.within import Within

        return Within(self, start, stop)

    def tensors(self) -> Iterator[Tensor]:
        """All tensors that it holds; memory is counted by them."""
        yield from held(vars(self).values())

    def reset(self, rows: Tensor) -> None:
        """Forget everything about `rows` [R]."""
        self.reset_cells(rows)
        for kept in self._raw():
            kept.index_fill_(0, rows, 0)

    def fork(self, source: Tensor, target: Tensor) -> None:
        """Make everything about the rows `target` [R] that of the rows `source` [R]."""
        self.fork_cells(source, target)
        for kept in self._raw():
            kept[target] = kept[source]

    def remember(self, new: Mapping[str, Tensor], count: Tensor) -> None:
        """Overwrite memory fields with `new` {name: [B, M, …]}, of which count [B] places are real.

        A row whose count is -1 keeps what it has. What is not real is stored as 0.
        """
        for name, value in new.items():
            kept = self.memory[name]
            width, axes = value.shape[1], [1] * (value.dim() - 2)
            place = torch.arange(width, device=value.device)
            real = (place < count[:, None]).view(*value.shape[:2], *axes)
            stays = (count < 0).view(-1, 1, *axes)
            kept[:, :width] = torch.where(stays, kept[:, :width], torch.where(real, value, 0).to(kept.dtype))
            kept[:, width:] = torch.where(stays, kept[:, width:], 0)

    def _raw(self) -> Iterator[Tensor]:
        yield from self.sequence.values()
        yield from self.memory.values()

    def keep(self, name: str, value: Tensor, count: Tensor | None) -> None:
        """Overwrite a sequence field with `value` [B, …]; a row without new tokens keeps what it has."""
        kept = self.sequence[name]
        if count is not None:
            live = (count > 0).view(-1, *[1] * (kept.dim() - 1))
            value = torch.where(live, value.to(kept.dtype), kept)
        kept.copy_(value)


def narrowed(kept: Mapping[str, Tensor], start: int, stop: int) -> dict[str, Tensor]:
    """The rows from `start` to `stop` - 1 of tensors [B, …], which stay where they are."""
    return {name: each[start:stop] for name, each in kept.items()}


def held(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among `values`, and in the mappings and sequences among them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, Mapping):
            yield from held(value.values())
        elif isinstance(value, list | tuple):
            yield from held(value)
