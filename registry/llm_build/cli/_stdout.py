"""A stdout that takes no more: a full disk, or a pipe that nobody reads."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from llm_build.cli._exit import FAULT


class Watched:
    """A stream that knows which faults are its own: one of a file looks the same."""

    def __init__(self, stream: Any, faults: list[OSError]) -> None:
        self._stream, self.faults = stream, faults

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        return Watched(found, self.faults) if name == "buffer" else found

    def write(self, what: Any) -> Any:
        with self._noting():
            return self._stream.write(what)

    def flush(self) -> None:
        with self._noting():
            self._stream.flush()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            self.faults.append(fault)
            raise


@contextmanager
def stdout_told() -> Iterator[None]:
    """Exit with 1 where stdout cannot be written: with a line that says why, quietly where its reader is gone."""
    stream: Any = sys.stdout
    if stream is None:  # it was closed before the start
        yield
        return
    watched: Any = Watched(stream, [])
    sys.stdout = watched
    try:
        yield
        # else Python would write the rest as it ends, and tell a fault badly
        watched.flush()
    except OSError as fault:
        if fault not in watched.faults:
            raise
        if fault.errno != errno.EPIPE:
            click.echo(f"error: stdout cannot be written: {fault.strerror}; send it elsewhere", err=True)
        sys.exit(FAULT)
    finally:
        if watched.faults:
            _let_go(stream)
        sys.stdout = stream


def _let_go(stream: Any) -> None:
    """What it still has goes nowhere: Python writes that as it ends, and would fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
