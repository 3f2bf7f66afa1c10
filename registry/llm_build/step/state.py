"""State: everything that a batch of conversations keeps between calls. Legend: B rows, T new positions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from llm_build.context import Context
from llm_build.errors import CapacityError

if TYPE_CHECKING:
    from llm_build.interfaces import Cache
    from llm_build.step.view import View

SPAN = 64
"""The length in use is rounded up to a multiple of this, so that it rarely changes and a compiled graph is kept."""


class State:
    """The lengths of all rows and the storage of every mixer. One round is `reserve`, then one call of the model.

    `lengths` [B] int64 on the device are the only ones. The host knows an upper bound of each, so nothing waits for the
    device: `reserve` is the single place where room is checked, and it refuses before anything changes.
    """

    def __init__(
        self, views: Sequence[Mapping[str, View]], rows: int, capacity: int, max_step: int, device: torch.device
    ) -> None:
        self.views = views
        self.rows = rows
        self.capacity = capacity
        self.max_step = max_step
        self.lengths = torch.zeros(rows, dtype=torch.int64, device=device)
        self.span = min(SPAN, capacity)
        self._bounds = [0] * rows
        self._granted: int | None = None
        self._granted_rows: list[int] = []

    def reserve(self, count: int | Sequence[int]) -> None:
        """Make room for `count` tokens a row, one number for all or one each, in the next call of the model.

        `count` bounds what that call appends. Raises `CapacityError`, having changed nothing, where a row is too short
        or more than `max_step` tokens are asked for.
        """
        counts = [count] * self.rows if isinstance(count, int) else list(count)
        self._refuse(counts)
        self._bounds = [bound + new for bound, new in zip(self._bounds, counts, strict=True)]
        self._granted, self._granted_rows = max(counts), counts
        self.span = min(self.capacity, -(-max(*self._bounds, 1) // SPAN) * SPAN)

    def reset(self, rows: Iterable[int]) -> None:
        """Forget these rows, so that another conversation can start in each."""
        forgotten = sorted(set(rows))
        if forgotten and not 0 <= forgotten[0] <= forgotten[-1] < self.rows:
            raise CapacityError(f"this state holds rows 0 to {self.rows - 1}; a reset of {forgotten} arrived")
        for row in forgotten:
            self._bounds[row] = 0
        index = torch.tensor(forgotten, dtype=torch.int64, device=self.lengths.device)
        self.lengths[index] = 0
        for layer in self.views:
            for view in layer.values():
                view.reset(index)

    def begin(self, count: Tensor | None, new: int) -> tuple[Tensor, Tensor]:
        """index [B, T], -1 past `count`, and positions [B, T] of `new` tokens a row.

        Models call this through `Step.begin`. Raises `CapacityError` where `reserve` was not called for this call.
        """
        if self._granted is None or (count is None and new > self._granted):
            raise CapacityError(
                f"{new} tokens a row arrived, {self._granted or 0} are reserved; call state.reserve first"
            )
        self._refuse_more(count)
        self._granted = None
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

    def advance(self, count: Tensor | int) -> None:
        """Count this call's tokens in. The model does it once a call; layers never do."""
        self.lengths.add_(count)

    def _refuse(self, counts: Sequence[int]) -> None:
        if len(counts) != self.rows:
            raise CapacityError(f"this state holds {self.rows} rows; counts for {len(counts)} arrived")
        for row, (bound, new) in enumerate(zip(self._bounds, counts, strict=True)):
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


def make_state(
    model: Any, rows: int, capacity: int, max_step: int | None = None, cache: Cache | str = "dense"
) -> State:
    """A state for `rows` conversations of at most `capacity` tokens, taking at most `max_step` tokens a row and call.

    It is allocated on the device of the model's weights and in their dtype, laid out by `cache`: a module of that slot,
    or the name of a component. `max_step` is `capacity` unless given. Raises `CapacityError` for sizes below 1.
    """
    max_step = capacity if max_step is None else max_step
    for name, size in (("rows", rows), ("capacity", capacity), ("max_step", max_step)):
        if size < 1:
            raise CapacityError(f"{name} must be at least 1; {size} arrived")
    layout = _named(cache) if isinstance(cache, str) else cache
    like = next(model.parameters())
    # tensors born under inference mode could not be written outside of it
    with torch.inference_mode(False):
        views = [
            {name: layout.view(spec, rows, capacity, max_step, like) for name, spec in layer.items()}
            for layer in model.state_spec
        ]
        return State(views, rows, capacity, max_step, like.device)


def _named(name: str) -> Cache:
    from llm_build.registry import installed

    cache: Cache = installed().config("cache", name)().build(Context())
    return cache
