"""Schedules of calls, drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from llm_build.conformance.machine import MEMORY, Machine

Draw = Callable[[st.SearchStrategy[Any]], Any]
Call = Callable[[Machine, Draw], None]


def run(machine: Machine, draw: Draw) -> None:
    """Draw a schedule of any calls and carry it out: some of every kind, in any order, after a start."""
    actions: list[Call] = [append, append_to, verify, reset, fork]
    if machine.world.source is not None:
        arrive(machine, draw, everywhere=True)
        actions.append(arrive)
    append(machine, draw)
    for action in draw(st.permutations(actions)):
        action(machine, draw)
    append(machine, draw)


def run_with_poison(machine: Machine, draw: Draw) -> None:
    """A schedule in which rows are spoilt and forgotten, tokens are spoilt and rejected, and too much is asked for."""
    if machine.world.source is not None:
        arrive(machine, draw, everywhere=True)
    append(machine, draw)
    machine.ruin(_rows(machine, draw))
    append(machine, draw)
    machine.reject(_counts(machine, draw))
    append(machine, draw)
    fork(machine, draw)
    machine.overflow(draw(st.integers(0, machine.rows - 1)))
    append(machine, draw)


def append(machine: Machine, draw: Draw) -> None:
    machine.append(_counts(machine, draw))


def append_to(machine: Machine, draw: Draw) -> None:
    """Some rows that follow each other are called alone."""
    start = draw(st.integers(0, machine.rows - 1))
    stop = draw(st.integers(start + 1, machine.rows))
    machine.append_to(start, _counts(machine, draw)[start:stop])


def verify(machine: Machine, draw: Draw) -> None:
    tried = _counts(machine, draw)
    machine.verify(tried, [draw(st.integers(0, count)) for count in tried])


def reset(machine: Machine, draw: Draw) -> None:
    machine.reset(_rows(machine, draw))


def fork(machine: Machine, draw: Draw) -> None:
    target = _rows(machine, draw)
    machine.fork([draw(st.integers(0, machine.rows - 1)) for _ in target], target)


def arrive(machine: Machine, draw: Draw, *, everywhere: bool = False) -> None:
    """A memory comes for rows that begin anew, while the others go on; to begin with, for all of them."""
    assert machine.world.source is not None, "what reads a memory has a source for it"
    joining = list(range(machine.rows)) if everywhere else _rows(machine, draw)
    if not everywhere:
        machine.reset(joining)
    sources = {row: machine.world.source(draw(st.sampled_from((MEMORY, *range(MEMORY))))) for row in joining}
    machine.append(_counts(machine, draw), sources)


def _counts(machine: Machine, draw: Draw) -> list[int]:
    """How many tokens each row takes; never none at all, and often as many as go."""
    room = [machine.room(row) for row in range(machine.rows)]
    counts = [draw(st.sampled_from((most, *range(most + 1)))) for most in room]
    return counts if any(counts) else [min(1, room[0]), *counts[1:]]


def _rows(machine: Machine, draw: Draw) -> list[int]:
    rows: list[int] = draw(st.lists(st.integers(0, machine.rows - 1), unique=True, min_size=1, max_size=machine.rows))
    return rows
