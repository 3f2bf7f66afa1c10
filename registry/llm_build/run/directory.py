"""A run's directory: what lies where, and that no run is ever written over."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import attrs

from llm_build.errors import RunError
from llm_build.run.checkpoints import Checkpoints

log = logging.getLogger("llm_build.run")

LOCK = ".lock"


@attrs.frozen
class RunDirectory:
    """The files of a run: `spec` is the resolved spec and `source` the text that it was written as.

    What is loaded is a checkpoint, which holds the spec, the versions and the tokenizer too: outside they are there for
    a person to read.
    """

    path: Path

    @classmethod
    def create(cls, path: str | Path) -> RunDirectory:
        """Claim a directory for a new run. Raises `RunError` where there is something in it already."""
        place = Path(path)
        try:
            place.mkdir(parents=True, exist_ok=True)
            if any(place.iterdir()):
                raise FileExistsError
            (place / LOCK).touch(exist_ok=False)
        except FileExistsError as fault:
            raise RunError(
                f"a run needs a folder of its own, and there is something in {place}: choose another"
            ) from fault
        except OSError as fault:
            raise RunError(f"a run needs a folder that can be written; {place}: {fault.strerror}") from fault
        return cls(place)

    @classmethod
    def next_free(cls, folder: str | Path, name: str) -> RunDirectory:
        """Claim `folder/name-1`, or the first number that is free."""
        for number in count(1):
            place = Path(folder, f"{name}-{number}")
            if not place.exists():
                return cls.create(place)
        raise AssertionError("there is always a next number")

    @classmethod
    def existing(cls, path: str | Path) -> RunDirectory:
        """A run that is there. Raises `RunError` where it is missing, or is no run."""
        place = Path(path)
        if not place.is_dir():
            raise RunError(f"a run directory must exist; there is none at {place}: `llm-build train` makes one")
        if not (place / "spec.llm").is_file():
            raise RunError(f"{place} is no run directory: it has no spec.llm")
        return cls(place)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training into it meanwhile; a process that dies lets go.

        Raises `RunError` where one does already, or where the lock cannot be written.
        """
        with self._lock() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as fault:
                file.seek(0)
                raise RunError(
                    f"only one process may train into a run, and {file.read() or 'another one'} trains into {self.path}"
                ) from fault
            except OSError as fault:
                log.warning("%s is not kept from other processes: %s", self.path, fault.strerror)
            file.truncate(0)
            file.write(f"process {os.getpid()} of {platform.node()}")
            file.flush()
            yield

    def _lock(self) -> TextIO:
        place = self.path / LOCK
        try:
            return place.open("a+", encoding="utf-8")
        except OSError as fault:
            raise RunError(f"a run is trained where it can be written; {place}: {fault.strerror}") from fault

    @property
    def spec(self) -> Path:
        return self.path / "spec.llm"

    @property
    def source(self) -> Path:
        return self.path / "source.llm"

    @property
    def versions(self) -> Path:
        return self.path / "versions.json"

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer.json"

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.path / "checkpoints")

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples.txt"

    @property
    def curve(self) -> Path:
        return self.path / "loss.png"

    def records(self) -> Iterator[dict[str, Any]]:
        """The whole lines of metrics.jsonl; none without one."""
        if not self.metrics.is_file():
            return
        with self.metrics.open(encoding="utf-8") as file:
            yield from (json.loads(line) for line in file if line.endswith("\n"))

    def add_samples(self, step: int, texts: Sequence[str]) -> None:
        """Append texts to samples.txt, each under its step and number. Where that fails, a warning says so."""
        headed = (f"==== step {step}, sample {number} ====\n{text}\n\n" for number, text in enumerate(texts, 1))
        try:
            with self.samples.open("a", encoding="utf-8", errors="replace") as file:
                file.writelines(headed)
        except OSError as fault:
            log.warning("%s lacks the samples of step %d: %s", self.samples, step, fault.strerror)
