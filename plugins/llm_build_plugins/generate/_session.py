"""Requests from outside: streams of pieces that are written together."""

from __future__ import annotations

import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from llm_build import GenerationError, Piece
from llm_build_plugins.generate._every import of_every
from llm_build_plugins.generate._quantised import build_of
from llm_build_plugins.generate._request import piece, refuse_length

if TYPE_CHECKING:
    from llm_build import Sizes, StateMemory
    from llm_build_plugins.generate._engine import Engine
    from llm_build_plugins.generate._request import Parts, Request


class Session:
    """A model that writes whatever is submitted, as many texts at once as there are rows; see `interfaces.Session`.

    `request` makes one of (number, prompt, max_new, seed). `sizes` were asked for; the engine may have more. `source`
    is the model that was given, of which a quantiser may have made another.
    """

    def __init__(self, source: Any, model: Any, engine: Engine, request: Callable[..., Request], sizes: Sizes) -> None:
        self._model, self._engine, self._request, self._sizes = model, engine, request, sizes
        self._source, self._build = weakref.ref(source), build_of(source)
        self._number = 0
        self._latest: Request | None = None

    @property
    def memory(self) -> StateMemory:
        return self._engine.takes

    def submit(self, prompt: str, *, max_new: int | None = None, seed: int = 0) -> Stream:
        """The pieces of a text as they come; whoever takes one moves all others on."""
        refuse_length(max_new)
        with self._engine.turn:
            self._refuse_broken()
            self._refuse_another()
            request = self._request(self._number, prompt, max_new, seed)
            self._refuse(request)
            self._engine.submit(request)
            self._number, self._latest = self._number + 1, request
        return Stream(self._model, self._engine, request)

    def _refuse_broken(self) -> None:
        if not self._engine.sound:
            raise GenerationError("a fault amidst a step broke this session off: open another")

    def _refuse_another(self) -> None:
        """Graphs would go on as they were recorded, and weights of 8 bits as they were made.

        A look takes about a millisecond, so it is for the first of those that come together.
        """
        if self._latest is not None and not self._latest.done:
            return
        source = self._source()
        if source is not None and build_of(source) != self._build:
            raise GenerationError(
                "a session writes with the model that it was opened for, and its weights, parts, modes or hooks have "
                "changed since: open another session"
            )

    def _refuse(self, request: Request) -> None:
        for what, needed, there in (
            ("a prompt and what is written after it", len(request.tokens) + request.most, self._sizes.capacity),
            ("a source", len(request.source), self._sizes.memory),
        ):
            if needed > there:
                raise GenerationError(
                    f"{what} must fit into the {there:_} tokens that this session holds of a text; {needed:_} are "
                    f"asked for: shorten the prompt, give a smaller max_new, or open the session with capacity={needed}"
                )


class Stream(Iterator[Piece]):
    """What is written for one request. Closed, or dropped, before its end it gives its row back."""

    def __init__(self, model: Any, engine: Engine, request: Request) -> None:
        self._model, self._engine, self._request = model, engine, request

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Piece:
        with self._engine.turn:
            while not self._request.pieces:
                if self._request.done:
                    raise StopIteration
                _go_on(self._engine)
            return piece(self._request.pieces.popleft())

    def close(self) -> None:
        """Nothing more is wanted."""
        self._engine.drop(self._request)
        self._request.pieces.clear()

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.close()


def together(model: Any, engine: Engine, requests: Sequence[Request], pieces: deque[Parts]) -> Iterator[Piece]:
    """The pieces of all requests, which come in one queue, in the order in which they come.

    Raises `PromptError` with all for which there never is room, before anything is written.
    """
    left = len(requests)
    try:
        with engine.turn:
            of_every(lambda _, each: engine.submit(each), requests)
        while left:
            with engine.turn:
                while not pieces:
                    _go_on(engine)
            taken = piece(pieces.popleft())
            left -= taken.finish is not None
            yield taken
    finally:
        for each in requests:
            engine.drop(each)
        del model  # it was held as long as it writes


def _go_on(engine: Engine) -> None:
    """A step for a text that is waited for. Raises `GenerationError` where nobody writes it: it would never come."""
    if not engine.step():
        raise GenerationError("a text is waited for that nobody writes: submit it first")
