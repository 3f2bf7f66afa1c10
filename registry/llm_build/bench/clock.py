"""Clocks: repeats and their spread, what a device still has to do, what torch.compile takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs
import torch

REPEATS = 5
"""How often each figure is taken, after once for warming up."""


@attrs.frozen
class Spread:
    """Figures of several repeats."""

    figures: tuple[float, ...]

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        return cls(tuple(figures))

    @property
    def median(self) -> float:
        return statistics.median(self.figures)

    @property
    def low(self) -> float:
        return min(self.figures)

    @property
    def high(self) -> float:
        return max(self.figures)

    def as_json(self) -> Mapping[str, float]:
        return {"median": self.median, "low": self.low, "high": self.high}


def now(device: torch.device) -> float:
    """Seconds of a clock, when the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """What some work takes, the device's part included."""
    begun = now(device)
    work()
    return now(device) - begun


@contextmanager
def compiling() -> Iterator[Callable[[], float]]:
    """The seconds that torch.compile took inside, so far: 0 where nothing is compiled. One of its own in another counts
    once."""
    from torch._dynamo.callback import callback_handler  # slow to import, and nobody else needs it

    begun: list[float] = []
    taken: list[float] = []

    def start(_: object) -> None:
        begun.append(time.perf_counter())

    def end(_: object) -> None:
        taken.append(time.perf_counter() - begun.pop())

    callback_handler.register_start_callback(start)
    callback_handler.register_end_callback(end)
    try:
        yield lambda: sum(taken)
    finally:
        callback_handler.remove_start_callback(start)
        callback_handler.remove_end_callback(end)
