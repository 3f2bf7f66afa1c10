"""What an optimiser's steps take, known from its first, in which it makes what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook


class Enough(Exception):
    """All that was to be seen was seen."""


class Moment(NamedTuple):
    """Live bytes at a moment: all of them, and those of activations."""

    all: int
    activations: int


class Sized(Protocol):
    """Something that takes memory, in bytes."""

    @property
    def total(self) -> int: ...


class Stepping:
    """Follows torch's optimisers. In the first step each thing that is kept is made at some moment; in any later one it
    is there from the start, so its bytes belong to the moments before it too.

    `stepped` is told after a step of an optimiser, those inside it included, of all the tensors that they keep, each
    with the weight that it is kept of.
    """

    def __init__(self, stepped: Callable[[Sequence[tuple[Tensor, Tensor]]], None]) -> None:
        self.done = 0
        self._stepped = stepped
        self._running: list[torch.optim.Optimizer] = []
        self._finished: list[torch.optim.Optimizer] = []
        self._over: set[int] = set()
        self._moments: list[tuple[Moment, bool]] = []
        self._born: dict[Sized, int] = {}

    @property
    def now(self) -> bool:
        """Whether one is at its step."""
        return bool(self._running)

    def follow(self) -> list[Any]:
        """Follow every optimiser until the hooks are removed."""
        return [register_optimizer_step_pre_hook(self._begin), register_optimizer_step_post_hook(self._end)]

    def saw(self, made: Sized, moment: Moment, looked_at: bool) -> None:
        """Something was made in a step; `moment` is that after it."""
        self._born[made] = len(self._moments)
        self._moments.append((moment, looked_at))

    def moments(self, kept: Sequence[Sized]) -> Iterator[Moment]:
        """The moments of this step that are looked at, as they are in a later one; `kept` is what stays."""
        made = sorted((self._born[each], each.total) for each in set(kept) if each in self._born)
        missing, there = sum(size for _, size in made), 0
        births = iter([*made, (len(self._moments), 0)])
        birth, size = next(births)
        for place, (moment, looked_at) in enumerate(self._moments):
            while birth == place:
                missing, there = missing - size, there + size
                birth, size = next(births)
            if looked_at:
                yield Moment(moment.all + missing, moment.activations - there)

    def _begin(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if not self._running and id(optimizer) in self._over:
            raise Enough
        self._running.append(optimizer)

    def _end(self, *_: Any) -> None:
        self._finished.append(self._running.pop())
        if self._running:
            return
        self.done += 1
        self._over.update(map(id, self._finished))
        self._stepped([each for optimizer in self._finished for each in _kept(optimizer)])
        self._finished, self._moments, self._born = [], [], {}


def _kept(optimizer: torch.optim.Optimizer) -> Iterator[tuple[Tensor, Tensor]]:
    for weight, state in optimizer.state.items():
        if isinstance(weight, Tensor):
            yield from ((weight, each) for each in state.values() if isinstance(each, Tensor))
