"""What a kernel takes on a GPU: CUDA graphs of many calls, timed in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch

from _measure import REPEATS

LONG = 2e-3
"""Seconds that one measurement takes at least."""

Key = TypeVar("Key")
Call = Callable[[], Any]


def graph(calls: Sequence[Call]) -> Call:
    """All calls as one launch, gone through once."""
    for each in calls[:2]:
        each()
    made = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(made):
        for each in calls:
            each()
    made.replay()
    torch.cuda.synchronize()
    return made.replay


def seconds(replay: Call, times: int) -> float:
    """Of one replay."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(times):
        replay()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3 / times


def alternate(sides: Mapping[Key, Sequence[Call]], repeats: int = REPEATS) -> dict[Key, list[float]]:
    """Seconds a call of each side, taken in turn."""
    replays = {name: graph(calls) for name, calls in sides.items()}
    times = {name: 1 + int(LONG / seconds(each, 1)) for name, each in replays.items()}
    found: dict[Key, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, replay in replays.items():
            found[name].append(seconds(replay, times[name]) / len(sides[name]))
    return found
