"""Who watches a training run: a bar on a terminal, plain lines elsewhere, nobody with -q. All of it goes to stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from llm_build.progress import Progress

SECONDS_BETWEEN_LINES = 10.0


def watcher(quiet: bool) -> Progress | None:
    """The right one for stderr as it is now."""
    if quiet:
        return None
    return Bar() if sys.stderr.isatty() else Lines()


class Lines:
    """A line every few seconds, and one at the end."""

    def __init__(self) -> None:
        self._steps = self._before = 0
        self._begun = self._shown = time.monotonic()

    def count(self, what: str, done: int, total: int) -> None:
        if self._due(done in {0, total}):
            self.say(f"{what}: {done:_} of {total:_}")

    def begin(self, steps: int, done: int = 0) -> None:
        self._steps, self._before = steps, done
        self._begun = self._shown = time.monotonic()

    def step(self, done: int, loss: float, rate: float) -> None:
        if not self._due(done == self._steps):
            return
        left = (time.monotonic() - self._begun) / (done - self._before) * (self._steps - done)
        self.say(f"step {done}/{self._steps}  loss {loss:.3f}  {rate:,.0f} tokens/s  {clock(left)} left")

    def say(self, text: str) -> None:
        click.echo(text, err=True)

    def end(self) -> None: ...

    def _due(self, last: bool) -> bool:
        now = time.monotonic()
        if now - self._shown < SECONDS_BETWEEN_LINES and not last:
            return False
        self._shown = now
        return True


class Bar:
    """One line that moves; what is said stands above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar: Any = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(bar_width=None),
            TextColumn("loss {task.fields[loss]:.3f}  {task.fields[rate]:,.0f} tokens/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: Any = None
        self._counter = Counter(Console(stderr=True))

    def count(self, what: str, done: int, total: int) -> None:
        self._counter.update(what, done, total)

    def begin(self, steps: int, done: int = 0) -> None:
        self._counter.stop()
        self._task = self._bar.add_task("train", total=steps, completed=done, loss=float("nan"), rate=0.0)
        self._bar.start()

    def step(self, done: int, loss: float, rate: float) -> None:
        self._bar.update(self._task, completed=done, loss=loss, rate=rate)

    def say(self, text: str) -> None:
        from rich.text import Text

        # as Text, so that brackets in what a model writes are not taken for markup
        self._bar.console.print(Text(text), soft_wrap=True)

    def end(self) -> None:
        self._counter.stop()
        self._bar.stop()


class Counter:
    """A bar for work that is counted, such as downloads; it goes when the work is over."""

    def __init__(self, console: Any) -> None:
        self._console = console
        self._bar: Any = None
        self._task: Any = None

    def update(self, what: str, done: int, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        if self._bar is None:
            columns = TextColumn("{task.description}", markup=False), BarColumn(bar_width=None), MofNCompleteColumn()
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task(what, total=total)
            self._bar.start()
        self._bar.update(self._task, description=what, completed=done, total=total)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
