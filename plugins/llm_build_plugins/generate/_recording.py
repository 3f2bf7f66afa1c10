"""Recording kernels as a CUDA graph, and going on where that fails."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import torch

from llm_build import GenerationError

_latest: dict[torch.device, weakref.ref[torch.cuda.CUDAGraph]] = {}
"""A graph whose pool others may share: a pool that no graph uses any more cannot be named again."""
_failed: list[torch.cuda.CUDAGraph] = []
"""Recordings that were broken off: torch's allocator of pinned memory may still ask them what belongs to them."""


class Unrecorded(Exception):
    """Kernels could not be recorded because of `cause`; the device is as it was."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


def recorded(work: Callable[[], None], device: torch.device) -> torch.cuda.CUDAGraph:
    """The kernels of some work as a graph; nothing of it runs.

    All graphs take their memory from one pool: they are launched one after another, and what they leave lies elsewhere.
    Raises `Unrecorded` where that cannot be, and `GenerationError` where the device cannot be used any more.
    """
    graph, stream = torch.cuda.CUDAGraph(), _stream(device)
    pool = _pool(device)
    try:
        # other threads may allocate meanwhile; and the stream of the caller comes back whatever happens
        with (
            torch.cuda.stream(stream),
            torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"),
        ):
            work()
    except RuntimeError as fault:
        if not _ended(graph):
            _release(graph, device, pool)
            _refuse_unless_usable(device, fault)
        # the fault of ending comes after the one that broke the recording off
        raise Unrecorded(fault.__context__ or fault) from fault
    _latest[device] = weakref.ref(graph)
    return graph


def _pool(device: torch.device) -> Any:
    """That of a graph that is still there, else a new one."""
    latest = _latest.get(device, lambda: None)()
    return torch.cuda.graph_pool_handle() if latest is None else latest.pool()


def _ended(graph: torch.cuda.CUDAGraph) -> bool:
    """Whether the recording came to an end, if only to be thrown away."""
    try:
        graph.pool()
    except RuntimeError:
        return False
    return True


def _release(graph: torch.cuda.CUDAGraph, device: torch.device, pool: Any) -> None:
    """Take the allocator out of a recording that CUDA refused to end: torch leaves it in, and knows no public way."""
    _failed.append(graph)
    for undo in (torch._C._cuda_endAllocateToPool, torch._C._cuda_releasePool):
        with suppress(RuntimeError):  # that much was undone
            undo(device.index, pool)
    _latest.pop(device, None)


def _refuse_unless_usable(device: torch.device, fault: RuntimeError) -> None:
    """Raises `GenerationError` where the device computes, draws or records no more.

    A recording that ends takes the random numbers out of the one that did not.
    """
    try:
        torch.cuda.synchronize(device)
        place, graph = torch.zeros(1, device=device), torch.cuda.CUDAGraph()
        with torch.cuda.stream(_stream(device)), torch.cuda.graph(graph, stream=_stream(device)):
            place.add_(1)
        graph.replay()
        works = place.item() == 1 and torch.rand(1, device=device).item() < 1
    except RuntimeError:
        works = False
    if not works:
        raise GenerationError(
            f"a step cannot be captured as a graph, and the device cannot be used after that: {fault}: "
            "begin again with capture = false"
        ) from fault


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
