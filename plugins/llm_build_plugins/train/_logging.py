"""What loggers have in common: a library that only an extra brings, a place that cannot be written, a mark."""

from __future__ import annotations

import errno
import importlib.util
import os
from pathlib import Path
from typing import Any

from llm_build import RunError


def need(library: str) -> None:
    """Raises `RunError` with the line for pip where a library is missing; its extra has the same name. Imports nothing.

    A folder of that name beside the program is no library: wandb leaves one wherever it was used.
    """
    found = importlib.util.find_spec(library)
    if found is None or found.origin is None:
        raise RunError(
            f'the logger {library} needs a library that is not installed: pip install "llm-build[{library}]", or leave '
            f"{library} out of `loggers`"
        )


def writable(folder: Path) -> Path:
    """A folder in the run's directory, named as its logger. Raises `RunError` where it cannot be written to."""
    try:
        folder.mkdir(exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as fault:
        raise closed(folder, fault, folder.name) from fault
    return folder


def closed(place: Path, fault: OSError, logger: str) -> RunError:
    """The error for a place in the run's directory that cannot be written."""
    return RunError(
        f"the figures of each step must be written to {place}, which failed: {fault.strerror}. Let it be written, or "
        f"leave {logger} out of `loggers`"
    )


def strange(mark: Any, wanted: str) -> RunError:
    """The error for a mark that the logger never gave."""
    return RunError(f"the state of training must hold {wanted}, and it does not: {str(mark)[:80]!r} arrived")
