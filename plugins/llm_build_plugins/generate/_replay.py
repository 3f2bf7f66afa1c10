"""A decode step as one launch: its kernels are recorded once for each length in use, and replayed.

A GPU takes a graph of some hundred kernels faster than a host can launch them one by one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from llm_build import GenerationError

if TYPE_CHECKING:
    from llm_build import State

log = logging.getLogger("llm_build.generate")


class Replay:
    """`step`, launched as a graph from its second call on; as it is where it waits for the device.

    `tensors` gives what a step changes beside the state. Raises `GenerationError` for a step that cannot be captured
    for another reason than waiting.
    """

    def __init__(self, step: Callable[[], None], state: State, tensors: Callable[[], Sequence[Tensor]]) -> None:
        self._step, self._state, self._tensors = step, state, tensors
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self._pool: Any = None
        self._waits: bool | None = None

    def __call__(self, counts: Sequence[int]) -> None:
        """Take a step of at most counts[b] tokens a row, 0 or 1."""
        if self._waits is None:
            self._first(counts)
            return
        self._state.reserve(counts)
        if self._waits:
            self._step()
        else:
            if self._state.span not in self._graphs:
                self._graphs[self._state.span] = self._captured()
            self._graphs[self._state.span].replay()

    def _first(self, counts: Sequence[int]) -> None:
        """The first step runs as it is: it makes what is made on first use, and shows whether it waits.

        A capture that fails would leave the allocator and the random state of the device unusable.
        """
        mark, kept = self._state.mark(), [each.clone() for each in self._tensors()]
        self._state.reserve(counts)
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            self._step()
            self._waits = False
        except RuntimeError as fault:
            self._waits = True
            log.warning("decoding runs kernel by kernel, since a step waits for the device: %s", fault)
        finally:
            torch.cuda.set_sync_debug_mode(before)
        if self._waits:
            self._state.rewind(mark)
            for each, value in zip(self._tensors(), kept, strict=True):
                each.copy_(value)
            self._state.reserve(counts)
            self._step()

    def _captured(self) -> torch.cuda.CUDAGraph:
        """The graph of the step that is to come; nothing of it runs yet."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                self._step()
        except RuntimeError as fault:
            raise GenerationError(f"a step cannot be captured as a graph: {fault}: write capture = false") from fault
        self._pool = graph.pool()
        return graph
