"""`llm-build check specs/quickstart.llm` as a process, against a process that only imports what it is built from.

Run `python tools/bench/check_startup.py`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from _measure import alternate, at_most, finish, machine, show

ROOT = Path(__file__).parents[2]
OURS = (str(Path(sys.executable).with_name("llm-build")), "check", "specs/quickstart.llm")
YARDSTICK = (sys.executable, "-c", "import click, pluggy, lark, attrs")
BAR = 2.0
RUNS = 10
"""Processes a repeat; a repeat is their mean."""

# both sides may read and write byte code, as they do for a person
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def seconds(command: Sequence[str]) -> tuple[float, float]:
    """Wall and processor (user and system) seconds of a process, the mean of some runs."""
    before, begun = os.times(), time.perf_counter()
    for _ in range(RUNS):
        subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - begun, os.times()
    busy = after.children_user - before.children_user + after.children_system - before.children_system
    return wall / RUNS, busy / RUNS


def main() -> None:
    said = subprocess.run(OURS, cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout
    assert said == "specs/quickstart.llm: fine\n", said
    seconds(OURS), seconds(YARDSTICK)

    processor: tuple[list[float], list[float]] = ([], [])

    def measured(side: int, command: Sequence[str]) -> float:
        wall, busy = seconds(command)
        processor[side].append(busy)
        return wall

    walls = alternate(lambda: measured(0, OURS), lambda: measured(1, YARDSTICK))
    machine("click", "pluggy", "lark", "attrs")
    verdicts = []
    for kind, (ours, yardstick) in (("wall", walls), ("processor", processor)):
        show(f"check, {kind}", ours)
        show(f"imports alone, {kind}", yardstick)
        verdicts.append(
            at_most(f"check / imports, {kind}", statistics.median(ours) / statistics.median(yardstick), BAR)
        )
    finish(*verdicts)


if __name__ == "__main__":
    main()
