"""What the layouts share: the fields that are kept per token, as a codec stores them. Legend: B rows, T new positions,
S cells that may be read."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from torch import Tensor

from llm_build import View, narrowed

if TYPE_CHECKING:
    from llm_build import Field, InOrder, Sizes, StateSpec, Step
    from llm_build.interfaces import Codec


class Layout(View):
    """A view whose token fields are stored in planes: one or more tensors a field, named by it and a suffix.

    Subclasses allocate `cells` {plane: [B, …]} by `zeros`, row by row unless they say otherwise, and `write` them.
    """

    cells: Mapping[str, Tensor]

    def __init__(self, spec: StateSpec, sizes: Sizes, like: Tensor, codec: Codec) -> None:
        super().__init__(spec, sizes, like)
        self.codec = codec
        self.fields = {
            name: replace(field, dtype=field.dtype or like.dtype)
            for name, field in spec.items()
            if field.per == "token"
        }
        self.planes = {name: codec.planes(field) for name, field in self.fields.items()}
        self.is_plain = {name: self.planes[name] == {"": field} for name, field in self.fields.items()}

    @abstractmethod
    def write(self, planes: Mapping[str, Tensor], step: Step) -> InOrder:
        """Write {plane: [B, T, …]} into `cells` at `step.index`, nothing where that is -1 → where places lie."""

    def extend(self, new: Mapping[str, Tensor], step: Step) -> tuple[dict[str, Tensor], Tensor]:
        planes = self.encoded(new)
        where = self.write(planes, step)
        read, k_index = where.read({plane: self.cells[plane] for plane in planes}, step.index)
        return self.decoded(read, new), k_index

    def store(self, new: Mapping[str, Tensor], step: Step) -> tuple[dict[str, Tensor], Tensor | InOrder]:
        """Cells where they lie; of a codec with planes of its own, a copy of what is in use."""
        planes = self.encoded(new)
        where = self.write(planes, step)
        kept = {plane: self.cells[plane] for plane in planes}
        if not all(self.is_plain[name] for name in new):
            kept, where = where.rows(kept)
        return self.decoded(kept, new), where

    def range(self, start: int, stop: int) -> Self:
        """A copy whose tensors are narrowed. Subclasses narrow what they have beside the cells."""
        made = copy(self)
        made.rows_held = stop - start
        made.sequence, made.memory = narrowed(self.sequence, start, stop), narrowed(self.memory, start, stop)
        made.cells = narrowed(self.cells, start, stop)
        return made

    def reset_cells(self, rows: Tensor) -> None:
        for cells in self.cells.values():
            cells.index_fill_(0, rows, 0)

    def fork_cells(self, source: Tensor, target: Tensor) -> None:
        for cells in self.cells.values():
            cells[target] = cells[source]

    def rounded(self, new: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.decoded(self.encoded(new), new)

    def encoded(self, new: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{name: [B, T, …]} → {plane: [B, T, …]}."""
        return {
            name + suffix: plane
            for name, value in new.items()
            for suffix, plane in self.codec.encode(value, self.fields[name]).items()
        }

    def decoded(self, planes: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
        """{plane: [B, S, …]} → {name: [B, S, …]}."""
        return {
            name: self.codec.decode({each: planes[name + each] for each in self.planes[name]}, self.fields[name])
            for name in names
        }

    def zeros(self, *lead: int, like: Tensor) -> dict[str, Tensor]:
        """The cells [*lead, …] of every plane."""
        return {
            name + suffix: plane.zeros(*lead, like=like)
            for name, planes in self.planes.items()
            for suffix, plane in planes.items()
        }


def token_bytes(codec: Codec, field: Field) -> int:
    """What one token of a field takes whose dtype is stated."""
    planes = codec.planes(field).values()
    return sum(math.prod(each.shape) * each.dtype.itemsize for each in planes if each.dtype is not None)
