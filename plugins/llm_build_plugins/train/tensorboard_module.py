"""Figures as TensorBoard's event files."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_build_plugins.train._logging import closed, need, strange, writable

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.train.tensorboard_config import tensorboard

log = logging.getLogger("llm_build.tensorboard")


class TensorBoard:
    """A scalar for each figure, at its step, in event files under RUN/tensorboard.

    Each time that it begins there is one file more, which tells TensorBoard from what step on to hide those before it.
    So a figure that was logged after the checkpoint but for an earlier step, as the last of a run are, is seen twice.
    Where the folder stops taking events they end there: the library cannot go on with a file that was cut.
    """

    def __init__(self, config: tensorboard, context: Context) -> None:
        """Raises `RunError` where the library is missing, which is before any data is prepared."""
        need("tensorboard")
        self._folder = Path()
        self._writer: Any = None
        self._step = 0

    def begin(self, directory: Path, mark: int | None = None) -> None:
        """Begin an event file that hides all after step `mark`. Raises `RunError` where it cannot be written."""
        from torch.utils.tensorboard import SummaryWriter

        if mark is not None and not (type(mark) is int and 0 <= mark < 2**53):
            raise strange(mark, "the step that tensorboard was at")
        self._folder, self._step = writable(directory / "tensorboard"), mark or 0
        _wait_for_a_second_of_its_own(self._folder)
        try:
            self._writer = SummaryWriter(self._folder, purge_step=0 if mark is None else mark + 1)
            if mark is None:
                self._writer.add_text("spec", _verbatim((directory / "spec.llm").read_text(encoding="utf-8")), 0)
            self._writer.flush()
        except OSError as fault:
            self._writer = None
            raise closed(self._folder, fault, "tensorboard") from fault

    def log(self, figures: Mapping[str, float]) -> None:
        if self._writer is None:
            return
        step = int(figures["step"])
        self._step = max(self._step, step)
        try:
            for name, value in figures.items():
                if name != "step":
                    self._writer.add_scalar(name, value, step)
        except OSError as fault:
            self._give_up(fault)

    def mark(self) -> int:
        """The last step that something was logged for."""
        if self._writer is not None:
            try:
                self._writer.flush()
            except OSError as fault:
                self._give_up(fault)
        return self._step

    def end(self) -> None:
        if self._writer is not None:
            try:
                self._writer.close()
            except OSError as fault:
                self._give_up(fault)
            self._writer = None

    def _give_up(self, fault: OSError) -> None:
        self._writer = None
        log.warning(
            "%s stopped taking figures: %s. Training goes on, and those of about step %d and later are not there",
            self._folder,
            fault.strerror,
            self._step,
        )


def _wait_for_a_second_of_its_own(folder: Path) -> None:
    """Event files are read in the order of their names, which begin with the second that they were begun in."""
    while any(folder.glob(f"events.out.tfevents.{int(time.time()):010}.*")):
        time.sleep(0.02)


def _verbatim(text: str) -> str:
    """Markdown that shows a text as it is."""
    return "".join(f"    {line}\n" for line in text.splitlines())
