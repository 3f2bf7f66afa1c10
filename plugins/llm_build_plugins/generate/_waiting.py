"""Requests that wait for a row, and which of them may come in."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llm_build import CapacityError, GenerationError

if TYPE_CHECKING:
    from llm_build import State
    from llm_build_plugins.generate._request import Request


class Waiting:
    """They come in as they came, once there is room in the state for all that each may write.

    Room that rows share, such as pages, would run out amidst a step otherwise, and all texts would end with it.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._requests: deque[Request] = deque()

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, request: Request) -> None:
        """Raises `GenerationError` for one that has no room even alone."""
        try:
            self._state.refuse([request.longest])
        except CapacityError as fault:
            raise GenerationError(
                f"a prompt and what is written after it must find room at once: {fault}, shorten the prompt, or give a "
                "smaller max_new"
            ) from fault
        self._requests.append(request)

    def forget(self) -> None:
        """Those for which nobody waits any more."""
        self._requests = deque(each for each in self._requests if not each.done)

    def coming(self, held: Sequence[Request | None]) -> list[Request]:
        """Take those out that may come in, where `held` have the rows, None a free one.

        None overtakes one that waits for much room: that would wait for ever.
        """
        coming: list[Request] = []
        if not self._requests:
            return coming
        free, lengths = held.count(None), [each.longest for each in held if each is not None]
        while self._requests and len(coming) < free and self._have_room([*lengths, self._requests[0].longest]):
            coming.append(self._requests.popleft())
            lengths.append(coming[-1].longest)
        return coming

    def _have_room(self, lengths: Sequence[int]) -> bool:
        try:
            self._state.refuse(lengths)
        except CapacityError:
            return False
        return True
