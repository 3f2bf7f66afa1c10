"""The engine of one call, kept for the next: its state is there already, and its graphs are captured."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llm_build_plugins.generate._quantised import build_of

if TYPE_CHECKING:
    from llm_build import Sizes
    from llm_build.interfaces import Tokenizer
    from llm_build_plugins.generate._engine import Engine


class Kept:
    """One engine at most, until its model is gone or another than it was, or a larger one is asked for."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._model: weakref.ref[Any] | None = None
        self._build: list[tuple[object, ...]] = []
        self._asked = 0
        self._turn = threading.RLock()

    def engine(
        self, model: Any, tokenizer: Tokenizer, sizes: Sizes, make: Callable[[], Engine], fewer: bool = False
    ) -> Engine:
        """One of at least these sizes. What is kept and does not do is let go before another is made.

        With `fewer`, one that was made for as many rows does, though there was memory for less.
        """
        with self._turn:
            return self._one(model, tokenizer, sizes, make, fewer)

    def _one(self, model: Any, tokenizer: Tokenizer, sizes: Sizes, make: Callable[[], Engine], fewer: bool) -> Engine:
        build, found = build_of(model), self._engine
        same = self._model is not None and self._model() is model and self._build == build
        if found is not None and same and found.tokenizer is tokenizer and self._does(found, sizes, fewer):
            return found
        found = None
        self.close()
        own, self._engine = weakref.ref(self), make()

        def forget(_: object) -> None:
            if (kept := own()) is not None:
                kept.close()

        self._model, self._build, self._asked = weakref.ref(model, forget), build, sizes.rows
        return self._engine

    def close(self) -> None:
        """Let go of it; whoever is still writing with it goes on."""
        self._engine = self._model = None

    def _does(self, engine: Engine, sizes: Sizes, fewer: bool) -> bool:
        there = self._asked if fewer else engine.rows, engine.capacity, engine.memory
        wanted = sizes.rows, sizes.capacity, sizes.memory
        return engine.sound and all(has >= needs for has, needs in zip(there, wanted, strict=True))
