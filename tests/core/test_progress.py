"""Who watches long work from the command line: plain lines now and then, or a bar."""

from __future__ import annotations

from typing import Any

import pytest

from llm_build.cli import _progress
from llm_build.cli._progress import Bar, Lines


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that shows the one value of this list."""
    now = [100.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_show_the_first_count_the_last_and_one_every_ten_seconds(clock: list[float], capsys: Any) -> None:
    lines = Lines()
    for done in range(31):
        lines.count("things", done, 30)
        clock[0] += 1.0
    shown = capsys.readouterr().err.splitlines()
    assert shown == [f"things: {done} of 30" for done in (0, 10, 20, 30)]


def test_steps_are_shown_in_the_same_way(clock: list[float], capsys: Any) -> None:
    lines = Lines()
    lines.begin(25)
    for done in range(1, 26):
        clock[0] += 1.0
        lines.step(done, 2.0, 1_000.0)
    shown = [line.split()[1] for line in capsys.readouterr().err.splitlines()]
    assert shown == ["10/25", "20/25", "25/25"]


def test_a_bar_counts_one_work_after_another() -> None:
    bar = Bar()
    bar.count("first", 2, 3)
    bar.count("second", 5, 70)
    (task,) = bar._counter._bar.tasks
    assert (task.description, task.completed, task.total) == ("second", 5, 70)
    bar.end()
    assert bar._counter._bar is None
