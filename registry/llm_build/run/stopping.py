"""Being told to stop: a training run ends after its step, keeps a checkpoint, and can be gone on with."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from llm_build.progress import Progress

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """Training was told to stop, and did so with a checkpoint of its last step."""


class Stop:
    """Whether this process was told to stop."""

    def __init__(self) -> None:
        self.asked = False


@contextmanager
def heeded(progress: Progress, stop: Stop) -> Iterator[None]:
    """While it is open the first SIGINT or SIGTERM only asks to stop, and a second one ends the process at once.

    Signals reach the main thread alone; in another one nothing is changed. A signal that is ignored stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in SIGNALS}
    heard = [each for each, handler in before.items() if handler is not signal.SIG_IGN]

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.asked = True
        for each in heard:
            signal.signal(each, signal.SIG_DFL)
        # nobody may read any more, or a line be half written: what is raised here would end the step
        with suppress(OSError, RuntimeError):
            progress.say(f"{signal.Signals(number).name}: stopping after this step; once more to stop at once")
            progress.end()  # a bar that hides the cursor could not show it again

    for each in heard:
        signal.signal(each, ask)
    try:
        yield
    finally:
        for each in heard:
            signal.signal(each, before[each])
