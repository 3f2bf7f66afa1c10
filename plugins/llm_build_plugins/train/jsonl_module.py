"""Figures as JSON, a line for each time that something is logged."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_build_plugins.train._logging import closed, strange

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.train.jsonl_config import jsonl

log = logging.getLogger("llm_build.metrics")

PIECE = 2**16
"""Bytes that are handed to the system at once."""


class JsonLines:
    """Appends to metrics.jsonl. A figure that is not finite is null, as JSON has no other word for it.

    Where the file stops taking lines they wait, and are written as soon as it takes them again; those that wait at a
    checkpoint are kept with it.
    """

    def __init__(self, config: jsonl, context: Context) -> None:
        self._path = Path()
        self._file = -1
        self._whole = 0  # where the last line that is whole ends, in the file
        self._waiting = bytearray()  # what comes behind it,
        self._cut = 0  # and how much of that is in the file already
        self._failing = False

    def begin(self, directory: Path, mark: Mapping[str, Any] | None = None) -> None:
        """Cut the file to what it was at `mark`, and go on behind that. Raises `RunError` where that cannot be."""
        self._path = directory / "metrics.jsonl"
        whole, waiting = (0, b"") if mark is None else _told(mark)
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            self._whole = self._end_of_lines(whole)
            os.ftruncate(self._file, self._whole)
        except OSError as fault:
            raise closed(self._path, fault, "jsonl") from fault
        self._waiting += waiting
        self._write()

    def log(self, figures: Mapping[str, float]) -> None:
        finite = {name: value if math.isfinite(value) else None for name, value in figures.items()}
        self._waiting += json.dumps(finite).encode() + b"\n"
        self._write()

    def mark(self) -> dict[str, Any]:
        """How long the file is up to its last whole line, and the lines that could not be written."""
        self._write(sync=True)
        return {"bytes": self._whole, "waiting": self._waiting.decode()}

    def end(self) -> None:
        if self._file < 0:
            return
        self._write(sync=True)
        if self._waiting:
            log.warning("%s lacks its last lines: %d could not be written", self._path, self._waiting.count(b"\n"))
        file, self._file = self._file, -1
        os.close(file)

    def _write(self, *, sync: bool = False) -> None:
        """Write what waits, as far as that goes; a line that was cut is gone on with where it was cut."""
        try:
            while self._waiting:
                self._written(os.write(self._file, self._waiting[self._cut : self._cut + PIECE]))
            if sync:
                os.fsync(self._file)
        except OSError as fault:
            if not self._failing:
                log.warning(
                    "%s cannot be written: %s. Training goes on, and its lines wait", self._path, fault.strerror
                )
            self._failing = True
        else:
            self._failing = False

    def _written(self, count: int) -> None:
        self._cut += count
        whole = self._waiting.rfind(b"\n", 0, self._cut) + 1
        del self._waiting[:whole]
        self._whole += whole
        self._cut -= whole

    def _end_of_lines(self, whole: int) -> int:
        """`whole`, or where the last line ends of a file that has become shorter, which is warned of."""
        there = os.fstat(self._file).st_size
        if there >= whole:
            return whole
        log.warning("%s lacks lines that it had at the checkpoint: %d bytes of %d", self._path, there, whole)
        return os.pread(self._file, there, 0).rfind(b"\n") + 1


def _told(mark: Any) -> tuple[int, bytes]:
    match mark:
        case {"bytes": int(whole), "waiting": str(waiting)} if whole >= 0 and waiting.isascii():
            if not waiting or waiting.endswith("\n"):
                return whole, waiting.encode()
    raise strange(mark, "the length of metrics.jsonl and the lines that it lacks")
