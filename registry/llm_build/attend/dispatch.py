"""Which kernel attends. The choice rests on what is static, and is logged once."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from torch import Tensor

from llm_build.attend.eager import eager
from llm_build.attend.flash import flash, flash_lacks
from llm_build.attend.flex import flex, flex_lacks
from llm_build.attend.fused import fused, fused_lacks, materialises
from llm_build.attend.masked import masked
from llm_build.attend.options import Options, Places
from llm_build.attend.split import needs_triton, split, split_lacks

Kernel = Callable[[Tensor, Tensor, Tensor, Places, Options], Tensor]

log = logging.getLogger("llm_build.attend")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A kernel that was chosen and why; `slow`: another would be faster, were it not for that."""

    kernel: str
    why: str
    slow: bool


_told: ContextVar[Callable[[Choice], None] | None] = ContextVar("told", default=None)


def attend(q: Tensor, k: Tensor, v: Tensor, places: Places, options: Options) -> Tensor:
    """q [B, T, H, E], k [B, S, K, E], v [B, S, K, Ev] → [B, T, H, Ev], by the fastest kernel that has every option.

    Where `places.k_index` is `InOrder`, k and v are what is kept, as it says.
    """
    kernel, why, slow = choose(q, v, places, options)
    report(kernel.__name__, why, slow)
    return kernel(q, k, v, places, options)


def choose(q: Tensor, v: Tensor, places: Places, options: Options) -> tuple[Kernel, str, bool]:
    """The first kernel that lacks nothing, why it was chosen, and whether it is slow where another would not be."""
    if not fused_lacks(places, options):
        reference = materialises(q, v, options.dropout, masked=False)
        return fused, reference or "whole sequences, no mask but causality", bool(reference)
    if not split_lacks(q, places, options):
        return split, "the length in use, split over keys", False
    if not flash_lacks(q, v, places, options):
        return flash, "many queries over what is stored, in order", False
    if not flex_lacks(q, v, places, options):
        return flex, "many queries with documents, padding, a window, a mask, a bias, a softcap or sinks", False
    if options.sinks is not None or options.softcap is not None:
        return eager, f"SDPA has no {'sinks' if options.sinks is not None else 'softcap'}", True
    reference = materialises(q, v, options.dropout, masked=True) or needs_triton(q)
    return masked, reference or "a state, padding, documents, a window, a mask or a bias", bool(reference)


@contextmanager
def listening(to: Callable[[Choice], None]) -> Iterator[None]:
    """Tell `to` of every choice that is made inside, by this thread. What is compiled tells while it is traced."""
    before = _told.set(to)
    try:
        yield
    finally:
        _told.reset(before)


def report(kernel: str, why: str, slow: bool) -> bool:
    """Log a choice the first time that it is made, and tell who listens each time."""
    _report_once(kernel, why, slow)
    told = _told.get()
    if told is not None:
        told(Choice(kernel=kernel, why=why, slow=slow))
    return True


# While torch.compile traces, this runs once and leaves nothing in the graph. It is what
# torch.compiler.assume_constant_result does, which takes seconds to import.
report._dynamo_marked_constant = True  # type: ignore[attr-defined]


@functools.cache
def _report_once(kernel: str, why: str, slow: bool) -> None:
    if slow:
        log.warning("attention takes the slow %s kernel, quadratic in memory: %s", kernel, why)
    else:
        log.info("attention takes the %s kernel: %s", kernel, why)
