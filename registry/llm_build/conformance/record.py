"""A cache that laws trust: it keeps every token in the open.

Legend: B rows, T new positions, S cells that may be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_build.conformance.compare import require
from llm_build.step import Field, Sizes, StateSpec, View

if TYPE_CHECKING:
    from llm_build.interfaces import Cache
    from llm_build.step import Step

JUNK = 1e30
"""What stands in cells that are empty: nothing may come of it."""


class RecordCache:
    """A cache that is slow and plain. With `of`, numbers are those that another cache gives back for them."""

    def __init__(self, of: Cache | None = None) -> None:
        self.of = of

    def view(self, spec: StateSpec, sizes: Sizes, like: Tensor) -> Record:
        other = None if self.of is None else self.of.view(spec, Sizes(rows=1, capacity=1, max_step=1), like)
        return Record(spec, sizes, like, other)


class Record(View):
    """Every token of one mixer. It is read from the latest to the first, and after them comes a cell that is empty.

    Raises `Violation` for what the mixer did not declare: another name, shape or dtype.
    """

    def __init__(self, spec: StateSpec, sizes: Sizes, like: Tensor, other: View | None) -> None:
        super().__init__(spec, sizes, like)
        self.other = other
        self.fields = {
            name: replace(each, dtype=each.dtype or like.dtype) for name, each in spec.items() if each.per == "token"
        }
        self.cells = {name: each.zeros(sizes.rows, sizes.capacity, like=like) for name, each in self.fields.items()}

    def extend(self, new: Mapping[str, Tensor], step: Step) -> tuple[dict[str, Tensor], Tensor]:
        assert step.lengths is not None, "a view comes with a state, and a state has lengths"
        for name, value in new.items():
            refuse_undeclared(name, value, self.fields)
        kept = dict(new) if self.other is None else self.other.rounded(new)
        for row, places in enumerate(step.index.tolist()):
            for column, place in enumerate(places):
                if place >= 0:
                    for name, value in kept.items():
                        self.cells[name][row, place] = value[row, column]
        place = torch.arange(int(step.lengths.max()), -1, -1).expand(len(step.lengths), -1)
        k_index = place.where(place < step.lengths[:, None], -1)
        return {name: self._read(name, k_index) for name in new}, k_index

    def _read(self, name: str, k_index: Tensor) -> Tensor:
        row = torch.arange(len(k_index))[:, None]
        found = self.cells[name][row, k_index.clamp(min=0)].clone()
        found[k_index < 0] = JUNK if found.is_floating_point() else 0
        return found

    def reset_cells(self, rows: Tensor) -> None:
        for cells in self.cells.values():
            cells[rows] = 0

    def fork_cells(self, source: Tensor, target: Tensor) -> None:
        for cells in self.cells.values():
            cells[target] = cells[source]


def refuse_undeclared(name: str, value: Tensor, fields: Mapping[str, Field]) -> None:
    """Raises `Violation` unless `value` [B, T, …] is what a field of this name says of a token."""
    field = fields.get(name)
    require(field is not None, f'the mixer stores "{name}" a token; its state_spec has {sorted(fields)}')
    assert field is not None
    require(
        value.shape[2:] == field.shape,
        f'the mixer stores "{name}" of {list(value.shape[2:])} a token; its state_spec says {list(field.shape)}',
    )
    require(value.dtype == field.dtype, f'the mixer stores "{name}" in {value.dtype}; {field.dtype} is right')


def is_exact(cache: Cache, specs: Sequence[Mapping[str, StateSpec]], like: Tensor) -> bool:
    """Whether a cache gives back the numbers of these mixers as they were stored.

    Raises `Violation` where those of a field of integers are others.
    """
    sizes, random = Sizes(rows=1, capacity=1, max_step=1), torch.Generator().manual_seed(0)
    for layer in specs:
        for spec in layer.values():
            tokens = {name: field for name, field in spec.items() if field.per == "token"}
            new = {name: _some(field, like, random) for name, field in tokens.items()}
            kept = cache.view(spec, sizes, like).rounded(new)
            coded = [name for name, each in new.items() if not torch.equal(kept[name], each)]
            for name in coded:
                require(new[name].is_floating_point(), f'the whole numbers of "{name}" are kept as others')
            if coded:
                return False
    return True


def _some(field: Field, like: Tensor, random: torch.Generator) -> Tensor:
    """Some tokens [1, 8, *shape]."""
    zeros = field.zeros(1, 8, like=like)
    return torch.randn(zeros.shape, generator=random, dtype=torch.float64).mul(9).to(zeros.dtype)
