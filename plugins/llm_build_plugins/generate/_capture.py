"""Decode steps from CUDA graphs. Legend: B rows, V vocabulary.

A step launches hundreds of small kernels, and a host takes longer to launch them than a GPU to run them. A graph is
launched at once. Everything that a step reads stays where it is, so a graph holds for one length in use (`State.span`).
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

Forward = Callable[[Tensor, Tensor], Tensor]
"""tokens [B, 1], count [B] → logits [B, V], on a state with room for them."""


class Replay:
    """`forward`, launched as a graph from its second call on; as it is where it waits for the device.

    Raises `GenerationError` for a step that cannot be captured for another reason.
    """

    def __init__(self, forward: Forward, state: State, device: torch.device) -> None:
        self._forward, self._state = forward, state
        self._tokens = torch.zeros(state.rows, 1, dtype=torch.int64, device=device)
        self._count = torch.zeros(state.rows, dtype=torch.int64, device=device)
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self._pool: Any = None
        self._waits: bool | None = None
        self._counts: Sequence[int] = ()

    def __call__(self, tokens: Tensor, counts: Sequence[int]) -> Tensor:
        """tokens [B, 1], of which each row takes counts[b], 0 or 1 → logits [B, V], valid until the next call."""
        self._tokens.copy_(tokens)
        if counts != self._counts:
            self._count.copy_(torch.tensor(counts))
            self._counts = list(counts)
        if self._waits is None:
            return self._first(counts)
        self._state.reserve(counts)
        if self._waits:
            return self._forward(self._tokens, self._count)
        if self._state.span not in self._graphs:
            self._graphs[self._state.span] = self._captured()
        graph, logits = self._graphs[self._state.span]
        graph.replay()
        return logits

    def _first(self, counts: Sequence[int]) -> Tensor:
        """The first step runs as it is: it makes what is made on first use, and shows whether it waits.

        A capture that fails would leave the allocator and the random state of the device unusable.
        """
        mark = self._state.mark()
        self._state.reserve(counts)
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            logits = self._forward(self._tokens, self._count)
            self._waits = False
            return logits
        except RuntimeError as fault:
            self._waits = True
            log.warning("decoding runs kernel by kernel, since a step waits for the device: %s", fault)
        finally:
            torch.cuda.set_sync_debug_mode(before)
        self._state.rewind(mark)
        self._state.reserve(counts)
        return self._forward(self._tokens, self._count)

    def _captured(self) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """The graph of the step that is to come; nothing of it runs yet."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                logits = self._forward(self._tokens, self._count)
        except RuntimeError as fault:
            raise GenerationError(f"a step cannot be captured as a graph: {fault}: write capture = false") from fault
        self._pool = graph.pool()
        return graph, logits
