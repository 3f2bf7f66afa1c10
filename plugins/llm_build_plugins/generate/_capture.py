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

if TYPE_CHECKING:
    from llm_build import State

log = logging.getLogger("llm_build.generate")

Forward = Callable[[Tensor, Tensor], Tensor]
"""tokens [B, 1], count [B] → logits [B, V], on a state with room for them."""


class Replay:
    """`forward`, launched as a graph from its second call for each length in use; as it is where that cannot be."""

    def __init__(self, forward: Forward, state: State, device: torch.device) -> None:
        self._forward, self._state = forward, state
        self._tokens = torch.zeros(state.rows, 1, dtype=torch.int64, device=device)
        self._count = torch.zeros(state.rows, dtype=torch.int64, device=device)
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self._pool: Any = None
        self._warm = self._refused = False

    def __call__(self, tokens: Tensor, counts: Sequence[int]) -> Tensor:
        """tokens [B, 1], of which each row takes counts[b], 0 or 1 → logits [B, V], valid until the next call."""
        self._tokens.copy_(tokens)
        self._count.copy_(torch.tensor(counts))
        self._state.reserve(counts)
        made = self._graphs.get(self._state.span) or self._made()
        if made is None:
            self._warm = True  # what is made on first use, such as workspaces, cannot be made while capturing
            return self._forward(self._tokens, self._count)
        graph, logits = made
        graph.replay()
        return logits

    def _made(self) -> tuple[torch.cuda.CUDAGraph, Tensor] | None:
        """The graph of this step, which did not run yet; None where there can be none."""
        if not self._warm or self._refused:
            return None
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                logits = self._forward(self._tokens, self._count)
        except RuntimeError as fault:
            self._refused = True
            log.warning("decoding runs kernel by kernel, since a step cannot be captured: %s", fault)
            self._state.reserve([0] * self._state.rows)  # the room is there already; what failed used up the leave
            return None
        self._pool = graph.pool()
        self._graphs[self._state.span] = graph, logits
        return graph, logits
