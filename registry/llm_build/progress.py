"""Who watches long work. Torch-free."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Whoever watches a run."""

    def count(self, what: str, done: int, total: int) -> None:
        """So many of `total` are done of some work before training, such as downloads."""

    def begin(self, steps: int, done: int = 0) -> None:
        """Training starts, or goes on, and will take so many steps, of which some are done."""

    def step(self, done: int, loss: float, rate: float) -> None:
        """So many steps are done; the loss in nats a token and the tokens a second of late."""

    def say(self, text: str) -> None:
        """Something worth a line."""

    def end(self) -> None:
        """It is over, well or not."""


class Silence:
    """A watcher who shows nothing."""

    def count(self, what: str, done: int, total: int) -> None: ...

    def begin(self, steps: int, done: int = 0) -> None: ...

    def step(self, done: int, loss: float, rate: float) -> None: ...

    def say(self, text: str) -> None: ...

    def end(self) -> None: ...
