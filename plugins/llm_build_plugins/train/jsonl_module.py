"""Figures as JSON, a line for each time that something is logged."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from llm_build import RunError

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.train.jsonl_config import jsonl

log = logging.getLogger("llm_build.metrics")


class JsonLines:
    """Appends to metrics.jsonl. Where that stops working the lines wait, and are written as soon as it works again."""

    def __init__(self, config: jsonl, context: Context) -> None:
        self._file = -1
        self._lines = 0
        self._waiting = b""
        self._path = Path()

    def begin(self, directory: Path, mark: int | None = None) -> None:
        """Keep the first `mark` lines of the file, and go on behind them. Raises `RunError` where that cannot be."""
        self._path = directory / "metrics.jsonl"
        self._lines = mark or 0
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            os.ftruncate(self._file, _end_of(self._path, self._lines))
        except OSError as fault:
            raise RunError(
                f"the figures of each step must be written to {self._path}, which failed: {fault.strerror}. Let it be "
                "written, or leave jsonl out of `loggers`"
            ) from fault

    def log(self, figures: Mapping[str, float]) -> None:
        self._lines += 1
        calm = not self._waiting
        self._waiting += json.dumps(figures, allow_nan=False).encode() + b"\n"
        fault = self._write()
        if fault is not None and calm:
            log.warning("%s cannot be written: %s. Training goes on, and the lines wait", self._path, fault.strerror)

    def mark(self) -> int:
        """How many lines there are."""
        self._write(sync=True)
        return self._lines

    def end(self) -> None:
        fault = self._write()
        if fault is not None:
            log.warning("%s lacks its last lines: %s", self._path, fault.strerror)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, *, sync: bool = False) -> OSError | None:
        """Write what waits, as far as that goes; a line that was cut is gone on with where it was cut."""
        try:
            while self._waiting:
                self._waiting = self._waiting[os.write(self._file, self._waiting) :]
            if sync:
                os.fsync(self._file)
        except OSError as fault:
            return fault
        return None


def _end_of(path: Path, lines: int) -> int:
    """Where the first `lines` lines of a file end, or all whole lines where there are fewer."""
    end = 0
    with path.open("rb") as file:
        for _ in range(lines):
            line = file.readline()
            if not line.endswith(b"\n"):
                break
            end += len(line)
    return end
