"""A state under any schedule of calls, beside what each row would give alone. Legend: B rows, T new positions."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from llm_build.conformance.compare import require, same
from llm_build.conformance.record import JUNK, RecordCache
from llm_build.errors import CapacityError
from llm_build.step import State, StateSpec, Step, make_state

if TYPE_CHECKING:
    from llm_build.interfaces import Cache

CAPACITY, MAX_STEP, MEMORY = 64, 4, 5
Fresh = Callable[..., Tensor]


@attrs.frozen(kw_only=True, eq=False)
class World:
    """What a machine runs: a model, and where its inputs come from.

    fresh   (rows, T) → inputs [rows, T, …]
    source  (length) → what one row reads beside them [length, …]; None: the model reads nothing
    encode  (sources [B, M, …], count [B] or None) → memory [B, M, C]
    cache   how the state is laid out
    exact   whether it gives back the numbers that were stored; else rows are compared with a full pass over what it
            gives back for them
    scarce  whether rows draw on something together that is too little for all of them: then calls may be refused
    """

    model: Any
    fresh: Fresh
    source: Fresh | None = None
    encode: Fresh = lambda sources, _count: sources
    cache: Cache | str = "dense"
    exact: bool = True
    scarce: bool = False

    def state(self, rows: int, capacity: int = CAPACITY, max_step: int = MAX_STEP) -> State:
        """A new state."""
        return make_state(self.model, rows, capacity, max_step, memory=self.memory, cache=self.cache)

    @property
    def memory(self) -> int:
        return 0 if self.source is None else MEMORY

    def alone(self, text: Tensor, source: Tensor | None) -> Tensor:
        """What one row gives for all its inputs [T, …] in one call, without what is kept between calls."""
        told = {} if source is None else {"memory": self.encode(source[None], None)}
        if self.exact:
            return self.model(text[None], **told)[0]  # type: ignore[no-any-return]
        assert not isinstance(self.cache, str), "a cache that is not exact is there itself"
        state = make_state(self.model, 1, len(text), memory=self.memory, cache=RecordCache(self.cache))
        state.reserve(len(text))
        return self.model(text[None], state, **told)[0]  # type: ignore[no-any-return]


class Machine:
    """Runs calls on a state. After each, every row must have given what it gives alone: else raises `Violation`.

    `told` has the calls as text.
    """

    def __init__(self, world: World, rows: int, capacity: int = CAPACITY, max_step: int = MAX_STEP) -> None:
        self.world, self.rows, self.max_step = world, rows, max_step
        self.texts = [world.fresh(1, 0)[0] for _ in range(rows)]
        self.sources = [None if world.source is None else world.source(0) for _ in range(rows)]
        self.state = world.state(rows, capacity, max_step)
        self.told: list[str] = []

    @torch.no_grad()
    def append(self, counts: Sequence[int], sources: Mapping[int, Tensor] | None = None) -> bool:
        """Each row takes its next counts[b] inputs; the rows of `sources` get a memory with this call.

        Whether it did: a scarce state may refuse.
        """
        self._tell(f"append {list(counts)}", sources)
        granted = self._granted(counts)
        if granted:
            self._took(self._call(counts, sources or {}), counts)
        return granted

    @torch.no_grad()
    def append_to(self, start: int, counts: Sequence[int]) -> bool:
        """The rows from `start` on take their next inputs in a call on them alone. Whether they did, as `append`."""
        self._tell(f"append {list(counts)} to a range from row {start}")
        state = self.state.range(start, start + len(counts))
        granted = self._granted(counts, state)
        if granted:
            new = self._call(counts, {}, state=state, start=start)
            everywhere = [0] * self.rows
            everywhere[start : start + len(counts)] = counts
            placed = self.world.fresh(self.rows, new.shape[1])
            placed[start : start + len(counts)] = new
            self._took(placed, everywhere)
        return granted

    @torch.no_grad()
    def verify(self, counts: Sequence[int], accepted: Sequence[int]) -> None:
        """Feed counts[b] inputs, reject all, then replay the first accepted[b] of them."""
        self._tell(f"feed {list(counts)}, rewind, replay {list(accepted)}")
        mark = self.state.mark()
        if self._granted(counts):
            new = self._call(counts, {})
            self.state.rewind(mark)
            if self._granted(accepted):
                self._took(self._call(accepted, {}, new), accepted)

    def reset(self, rows: Sequence[int]) -> None:
        self._tell(f"reset {list(rows)}")
        self.state.reset(rows)
        for row in rows:
            self.texts[row] = self.texts[row][:0]
            self.sources[row] = None if self.world.source is None else self.world.source(0)

    def fork(self, source: Sequence[int], target: Sequence[int]) -> None:
        self._tell(f"fork {list(source)} to {list(target)}")
        self.state.fork(source, target)
        self.texts = _copied(self.texts, source, target)
        self.sources = _copied(self.sources, source, target)

    def reject(self, counts: Sequence[int]) -> None:
        """Feed counts[b] tokens of which every number that is kept is huge, and reject them."""
        self._tell(f"reject {list(counts)} of {JUNK:g}")
        mark = self.state.mark()
        if self._granted(counts):
            spoil(self.world.model, self.state, counts, JUNK)
            self.state.rewind(mark)

    def ruin(self, rows: Sequence[int]) -> None:
        """Fill rows with what is no number, their memory too, and reset them."""
        self._tell(f"fill {list(rows)} with NaN")
        counts = [self.room(row) if row in rows else 0 for row in range(self.rows)]
        if self._granted(counts):
            spoil(self.world.model, self.state, counts, float("nan"), memory=rows)
        self.reset(rows)

    def overflow(self, row: int) -> None:
        """Fill a row until the next call might not fit, and ask for one token more than it has room for.

        The others ask for a token, or for none. Nobody gets any.
        """
        while self.state.capacity - len(self.texts[row]) >= self.max_step:
            if not self.append([self.max_step if each == row else 0 for each in range(self.rows)]):
                return
        self._tell(f"overflow row {row}")
        for others in (1, 0):
            counts = [min(others, self.room(each)) for each in range(self.rows)]
            counts[row] = self.state.capacity + 1 - len(self.texts[row])
            try:
                self.state.reserve(counts)
            except CapacityError:
                continue
            held = [len(each) for each in self.texts]
            require(
                False, f"{counts} more were granted to rows of {held} tokens that have room for {self.state.capacity}"
            )

    def empty(self) -> None:
        """Reset all rows; then there is as much room as in a new state."""
        self.reset(range(self.rows))
        found, new = room_of(self.state), room_of(self.world.state(self.rows, self.state.capacity, self.max_step))
        require(found == new, f"once all rows are reset each has room for {found} tokens, and {new} in a new state")

    def room(self, row: int) -> int:
        """How many tokens a row can take in a call."""
        return min(self.max_step, self.state.capacity - len(self.texts[row]))

    def _granted(self, counts: Sequence[int], state: State | None = None) -> bool:
        """Make room for a call. One that a scarce state refuses must leave everything as it was."""
        try:
            (state or self.state).reserve(counts)
        except CapacityError:
            if not self.world.scarce:
                raise
            self._tell("refused")
            return False
        return True

    def _tell(self, call: str, sources: Mapping[int, Tensor] | None = None) -> None:
        came = "".join(f", a memory of {len(each)} for row {row}" for row, each in (sources or {}).items())
        self.told.append(call + came)

    def _call(
        self,
        counts: Sequence[int],
        sources: Mapping[int, Tensor],
        new: Tensor | None = None,
        *,
        state: State | None = None,
        start: int = 0,
    ) -> Tensor:
        """One call of the model, granted; what follows the real inputs is noise. Returns the inputs [B, T, …].

        `state` is a range that begins with row `start`; otherwise all rows come.
        """
        width = max(*counts, 1)
        new = self.world.fresh(len(counts), width) if new is None else new[:, :width]
        memory = self._memory(sources)
        found = self.world.model(new, state or self.state, count=torch.tensor(counts), **memory)
        for place, count in enumerate(counts):
            if count:
                row = start + place
                text = torch.cat([self.texts[row], new[place, :count]])
                expected = self.world.alone(text, self.sources[row])[-count:]
                same(found[place, :count], expected, f"row {row} after {len(self.told)} calls, against itself alone")
        return new

    def _memory(self, sources: Mapping[int, Tensor]) -> dict[str, Tensor]:
        """The memory of all rows that get one; for the others it is noise, and -1 says so."""
        if not sources:
            return {}
        assert self.world.source is not None, "what reads a memory has a source for it"
        width = max(1, *(len(each) for each in sources.values()))
        padded = torch.stack([self.world.source(width) for _ in range(self.rows)])
        counts = torch.full((self.rows,), -1)
        for row, source in sources.items():
            padded[row, : len(source)], counts[row] = source, len(source)
            self.sources[row] = source
        return {"memory": self.world.encode(padded, counts.clamp(min=0)), "memory_count": counts}

    def _took(self, new: Tensor, counts: Sequence[int]) -> None:
        for row, count in enumerate(counts):
            self.texts[row] = torch.cat([self.texts[row], new[row, :count]])
        lengths = [len(text) for text in self.texts]
        require(self.state.lengths.tolist() == lengths, f"the lengths are {self.state.lengths.tolist()}, not {lengths}")


@torch.no_grad()
def room_of(state: State) -> int:
    """How many tokens every row can take, one a call, before a call is refused. They are counted and not stored."""
    for taken in range(state.capacity + 1):
        try:
            state.reserve(1)
        except CapacityError:
            return taken
        state.advance(1)
    return state.capacity + 1


@torch.no_grad()
def spoil(model: Any, state: State, counts: Sequence[int], value: float, memory: Container[int] = ()) -> None:
    """Append counts[b] tokens of which every number that is kept is `value`; the rows `memory` get such a memory too.

    What is no token has that value as well, and must not be stored. The state has made room for them.
    """
    count, width = torch.tensor(counts), max(*counts, 1)
    step = Step.begin(torch.zeros(len(counts), width, dtype=torch.int64), state, count=count)
    spoilt = torch.tensor([state.memory if row in memory else -1 for row in range(len(counts))])
    like = next(model.parameters())
    for number, layer in enumerate(model.state_spec):
        for name, spec in layer.items():
            part: Any = step.at(number).at(name)
            if tokens := _full(spec, "token", value, like, len(counts), width):
                part.view.extend(tokens, part)
            for key, each in _full(spec, "sequence", value, like, len(counts)).items():
                part.keep(key, each)
            if state.memory:
                part.view.remember(_full(spec, "memory", value, like, len(counts), state.memory), spoilt)
    state.advance(count)


def _full(spec: StateSpec, per: str, value: float, like: Tensor, *lead: int) -> dict[str, Tensor]:
    """Fields that hold one number; in those of integers there is no such number, and it is 77."""
    found = {}
    for name, field in spec.items():
        if field.per == per:
            zeros = field.zeros(*lead, like=like)
            found[name] = zeros.fill_(value if zeros.is_floating_point() else 77)
    return found


def _copied(held: Sequence[Any], source: Sequence[int], target: Sequence[int]) -> list[Any]:
    after = list(held)
    for one, other in zip(source, target, strict=True):
        after[other] = held[one]
    return after
