"""A decode step as one launch: its kernels are recorded once for each length in use, and replayed.

A GPU takes a graph of some hundred kernels faster than a host can launch them one by one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_build_plugins.generate._culprit import first_line, running_part
from llm_build_plugins.generate._recording import Unrecorded, recorded

if TYPE_CHECKING:
    from llm_build import State

log = logging.getLogger("llm_build.generate")


class Replay:
    """`step`, launched as a graph where its kernels were recorded; as it is where they cannot be, and a line says why.

    `tensors` gives what a step changes beside the state. `refused` is shared by steps that differ in their rows alone:
    what cannot be recorded of one is not tried with the others. A length in use comes as it is the first time: what is
    made on first use is made then, and what is to be compiled is compiled. Raises `GenerationError` where a recording
    failed and left the device unfit for use.
    """

    def __init__(
        self,
        step: Callable[[], None],
        state: State,
        tensors: Callable[[], Sequence[Tensor]],
        refused: set[str] | None = None,
    ) -> None:
        self._step, self._state, self._tensors = step, state, tensors
        self._why = set() if refused is None else refused
        self._graphs: dict[int, torch.cuda.CUDAGraph | None] = {}
        self._checked = False

    def __call__(self, counts: Sequence[int]) -> None:
        """Take a step of at most counts[b] tokens a row, 0 or 1."""
        if self._graphs and not (self._checked or self._refused):
            self._checking(counts)
            return
        self._state.reserve(counts)
        span = self._state.span
        if self._refused or span not in self._graphs:
            self._graphs[span] = None
            self._step()
            return
        graph = self._graphs[span] or self._record(span, counts)
        if graph is None:
            self._step()
        else:
            graph.replay()

    def _checking(self, counts: Sequence[int]) -> None:
        """The second step shows whether a step waits for the device, before anything is recorded."""
        again = self._place()
        self._state.reserve(counts)
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            self._step()
        except RuntimeError as fault:
            self._refuse("waits for the device", fault)
        finally:
            torch.cuda.set_sync_debug_mode(before)
        self._checked = True
        if self._refused:
            again()
            self._state.reserve(counts)
            self._step()

    def _record(self, span: int, counts: Sequence[int]) -> torch.cuda.CUDAGraph | None:
        """The graph of the step that is to come; nothing of it runs yet. None where it cannot be recorded."""
        try:
            self._graphs[span] = recorded(self._step, self._state.lengths.device)
        except Unrecorded as fault:
            self._refuse("cannot be captured", fault.cause)
            # a recording runs nothing, but the state has counted its tokens on the host
            self._state.reserve([0] * len(counts))
        return self._graphs[span]

    @property
    def _refused(self) -> bool:
        return bool(self._why)

    def _refuse(self, why: str, fault: BaseException) -> None:
        self._why.add(why)
        part = running_part(fault)
        where = f" in {part}" if part else ""
        log.warning("decoding runs kernel by kernel, since a step %s%s: %s", why, where, first_line(fault))

    def _place(self) -> Callable[[], None]:
        """Remember this place, to come back to."""
        mark, kept = self._state.mark(), [each.clone() for each in self._tensors()]

        def again() -> None:
            self._state.rewind(mark)
            for each, value in zip(self._tensors(), kept, strict=True):
                each.copy_(value)

        return again
