"""Mixers that keep everything there is to keep, for laws of caches.

Legend: B rows, T positions, S cells that may be read, M places of a memory, D model dim.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from llm_build.attend import InOrder
from llm_build.conformance.compare import require
from llm_build.conformance.mixing import Mixers
from llm_build.errors import CapacityError
from llm_build.step import Field, StateSpec, Step, View, make_state

if TYPE_CHECKING:
    from llm_build.interfaces import Cache

DIM = 3
DEEP = 1000
"""A reach beyond every capacity."""
Draw = Callable[[st.SearchStrategy[Any]], Any]

TOKENS: Mapping[str, Field] = {
    "keys": Field((2, 4)),
    "window of 1": Field((1, 2), reach=1),
    "window of 3": Field((2, 3), reach=3),
    "window of 5": Field((1, 2), reach=5),
    "long window": Field((2, 2), reach=DEEP),
    "latent in parts": Field((1, 5), parts=(3, 2)),
    "window in parts": Field((1, 4), reach=4, parts=(1, 3)),
    "wide": Field((2,), dtype=torch.float32),
    "numbers": Field((2,), dtype=torch.int64),
    "one number": Field(()),
}
SEQUENCES: Mapping[str, Field] = {
    "matrix": Field((2, 2, 3), per="sequence"),
    "seen": Field((), per="sequence", dtype=torch.int64),
    "wide sum": Field((2,), per="sequence", dtype=torch.float32),
}
MEMORIES: Mapping[str, Field] = {
    "memory keys": Field((2, 3), per="memory"),
    "memory numbers": Field((1,), per="memory", dtype=torch.int64),
}


def draw_spec(draw: Draw) -> StateSpec:
    """One or two fields a token, and in some cases others a sequence and a memory."""
    names = draw(st.lists(st.sampled_from(list(TOKENS)), min_size=1, max_size=2, unique=True))
    spec = {name: TOKENS[name] for name in names}
    for others in (SEQUENCES, MEMORIES):
        name = draw(st.sampled_from([None, *others]))
        spec |= {} if name is None else {name: others[name]}
    return spec


class Keeper(nn.Module):
    """x [B, T, D] → [B, T, D]: a sum of all that it may read, each number by a weight of its own place.

    What is stored of a token is made of its x. With every other seed it is told where that lies, as kernels are.
    Weights are 0 wherever nothing may be read, so that a NaN there is seen. Raises `Violation` where what is read has
    another shape or dtype than was declared.
    """

    def __init__(self, spec: StateSpec, seed: int) -> None:
        super().__init__()
        self.state_spec = spec
        self.told = seed % 2 == 1
        random = torch.Generator().manual_seed(seed)
        for number, field in enumerate(spec.values()):
            size = math.prod(field.shape)
            self.register_buffer(f"made{number}", torch.randn(DIM, size, generator=random, dtype=torch.float64))
            self.register_buffer(f"told{number}", torch.randn(size, DIM, generator=random, dtype=torch.float64))

    def forward(self, x: Tensor, step: Step) -> Tensor:
        y = self._tokens(x, step)
        for name, field in self.state_spec.items():
            if field.per == "sequence":
                y = y + self._sequence(name, field, x, step)
            if field.per == "memory":
                y = y + self._memory(name, field, step)
        return y.to(x.dtype)

    def _tokens(self, x: Tensor, step: Step) -> Tensor:
        fields = {name: field for name, field in self.state_spec.items() if field.per == "token"}
        read, k_index = {name: self._make(name, field, x) for name, field in fields.items()}, step.index
        if isinstance(step.view, View):
            read, k_index = _given_back(step.view, read, step, told=self.told)
        q, k = step.index[:, :, None], k_index[:, None, :]
        y = torch.zeros_like(x)
        for name, field in fields.items():
            _refuse_other(name, field, read[name], x)
            seen = (k >= 0) & (k <= q) & (k > q - (field.reach or DEEP))
            y = y + (seen * _weights(k)) @ self._tell(name, read[name])
        return y

    def _sequence(self, name: str, field: Field, x: Tensor, step: Step) -> Tensor:
        """The sum of all tokens up to each, which goes along. With a dtype of its own it is of whole numbers."""
        before = step.carry(name, field, x)[:, None]
        _refuse_other(name, field, before, x)
        real = (step.index >= 0)[..., None]
        new = self._make(name, field, torch.where(real, x, 0))
        sums = before + (new if field.dtype is None else new.round()).cumsum(1).to(before.dtype)
        step.keep(name, sums[:, -1])
        return self._tell(name, sums)

    def _memory(self, name: str, field: Field, step: Step) -> Tensor:
        new = None if step.memory is None else self._make(name, field, step.memory)
        if isinstance(step.view, View):
            if new is not None:
                assert step.memory_count is not None, "a state says how much of a memory is new"
                step.view.remember({name: new}, step.memory_count)
            new = step.view.memory[name]
        assert new is not None, "what reads a memory is given one"
        place = torch.arange(new.shape[1])[None]
        real = torch.ones_like(place) if step.memory_lengths is None else place < step.memory_lengths[:, None]
        y: Tensor = (real * _weights(place))[:, None] @ self._tell(name, new)
        return y

    def _make(self, name: str, field: Field, x: Tensor) -> Tensor:
        """[B, T, D] → [B, T, *field.shape] in the dtype of the field."""
        made = (x.double() @ self._weight("made", name)).unflatten(-1, field.shape or (1,))
        made = made if field.shape else made[..., 0]
        stored: Tensor = made.mul(100).round() if field.dtype == torch.int64 else made
        return stored.to(field.dtype or x.dtype)

    def _tell(self, name: str, stored: Tensor) -> Tensor:
        """[B, S, *field.shape] → [B, S, D]."""
        flat = stored.double().flatten(2) if stored.dim() > 2 else stored.double()[..., None]
        told: Tensor = flat @ self._weight("told", name)
        return told

    def _weight(self, kind: str, name: str) -> Tensor:
        weight: Tensor = getattr(self, f"{kind}{list(self.state_spec).index(name)}")
        return weight


def _given_back(view: View, new: dict[str, Tensor], step: Step, told: bool) -> tuple[dict[str, Tensor], Tensor]:
    """{name: [B, S, …]} and k_index [B, S], as a view reads them or as it has told where they lie."""
    read, where = view.store(new, step) if told else view.extend(new, step)
    return where.read(read, step.index) if isinstance(where, InOrder) else (read, where)


def is_scarce(cache: Cache, rows: int = 3, capacity: int = 64) -> bool:
    """Whether a cache, as it is set, has too little room for all rows at full length."""
    state = make_state(Mixers([Keeper({"keys": TOKENS["keys"]}, 0)]), rows, capacity, cache=cache)
    try:
        state.reserve(capacity)
    except CapacityError:
        return True
    return False


def _weights(place: Tensor) -> Tensor:
    """One for each place, unlike all others."""
    return torch.cos(place.double() + 1)


def _refuse_other(name: str, field: Field, stored: Tensor, x: Tensor) -> None:
    expected = field.dtype or x.dtype
    require(stored.dtype == expected, f'"{name}" is read in {stored.dtype}; {expected} was declared')
    told = f'"{name}" is read as {list(stored.shape[2:])}; {list(field.shape)} was declared'
    require(stored.shape[2:] == field.shape, told)
