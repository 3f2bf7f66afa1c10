"""Two sides measured in turn: five repeats each, alternating, with the median, the spread and the ratio to a bar."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from importlib import metadata

from llm_build.processor import processor

REPEATS = 5

Measure = Callable[[], float]
"""Does the work once and returns what it took."""


def alternate(ours: Measure, yardstick: Measure) -> tuple[list[float], list[float]]:
    """Five figures of each side, taken in turn, so that a busy moment falls on both. Warm both up before."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        found[0].append(ours())
        found[1].append(yardstick())
    return found


def machine(*distributions: str) -> None:
    """Print where the figures come from."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("llm-build", *distributions))
    print(
        f"machine: {processor()}, {cores()} cores; {platform.system()}, Python {platform.python_version()}, {versions}"
    )


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def show(name: str, figures: Sequence[float], unit: str = "ms", scale: float = 1e3) -> None:
    """Print one side's median and spread; figures are seconds unless `scale` says otherwise."""
    low, middle, high = (scale * each for each in (min(figures), statistics.median(figures), max(figures)))
    print(f"{name:<44} median {middle:9.1f} {unit}   spread {low:.1f} to {high:.1f}")


def at_most(name: str, ratio: float, bar: float, unit: str = "×") -> bool:
    """Print a ratio, or a figure in a unit, that must not exceed its bar, and say whether it holds."""
    return _verdict(name, ratio, f"at most {bar:g}", ratio <= bar, unit)


def at_least(name: str, ratio: float, bar: float) -> bool:
    """Print a ratio that must reach its bar, and say whether it does."""
    return _verdict(name, ratio, f"at least {bar:g}", ratio >= bar)


def _verdict(name: str, ratio: float, bar: str, holds: bool, unit: str = "×") -> bool:
    print(f"{name:<44} {ratio:.3f}{unit}, bar {bar}{unit}: {'holds' if holds else 'FAILS'}")
    return holds


def finish(*verdicts: bool) -> None:
    """Exit with 1 where a bar does not hold."""
    sys.exit(0 if all(verdicts) else 1)
