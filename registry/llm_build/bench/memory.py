"""Memory: how fast it is read and written, the most that was taken, and what will be taken."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from llm_build.assemble import outline, quantised
from llm_build.bench.clock import REPEATS, Spread, seconds
from llm_build.bench.passes import Passes
from llm_build.bench.shapes import Shape, refuse_length, tokens_of
from llm_build.cost import Allocations
from llm_build.cost.states import all_kept
from llm_build.devices import GIB, memory_of
from llm_build.errors import GenerationError
from llm_build.interfaces import Cache
from llm_build.run import Compute
from llm_build.run.rehearsal import FAULTS

COPIED = 2**28
"""Bytes of a copy: far more than any cache holds."""
IN_A_ROW = 4


def memory_rate(device: torch.device) -> Spread:
    """Bytes a second of a copy from memory to memory, what is read and what is written counted both."""
    rates = _rates(device)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return Spread.of(rates)


def _rates(device: torch.device) -> list[float]:
    source = torch.zeros(COPIED, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)

    def copy() -> None:
        for _ in range(IN_A_ROW):
            target.copy_(source)

    copy()
    return [2 * COPIED * IN_A_ROW / seconds(copy, device) for _ in range(REPEATS)]


def refuse_what_does_not_fit(spec: Any, compute: Compute, shape: Shape, cache: Cache | str) -> None:
    """Raises `GenerationError` where a shape will not fit into the device's memory or the context; allocates nothing.

    Needed is the most that building, prefill and a decode step take, found without numbers; where a part of the model
    cannot go without them, its weights and what its `state_spec` says.
    """
    model = quantised(spec, outline(spec, torch.device("meta"), compute.dtype).eval())
    refuse_length(model, shape)
    weights = sum(each.nbytes for each in (*model.parameters(), *model.buffers()))
    keeping = all_kept(model, compute.dtype, spec.generate)
    state = shape.batch * sum(each.at(tokens_of(model, shape), shape.prompt) for each in keeping)
    there = memory_of(compute.device)
    needed = max(_rehearsed(spec, compute, shape, cache) or weights + state, 2 * COPIED)
    if needed <= there:
        return
    raise GenerationError(
        f"weights, state and activations must fit into the memory of {compute.device.type}: {shape.batch:_} prompts of "
        f"{shape.prompt:_} tokens and {shape.new:_} new ones each take {needed / GIB:_.1f} GiB (weights "
        f"{weights / GIB:_.1f}, state {state / GIB:_.1f}), and there are {there / GIB:_.1f} GiB: give a smaller "
        "--batch, --prompt or --new, or use another device"
    )


def _rehearsed(spec: Any, compute: Compute, shape: Shape, cache: Cache | str) -> int | None:
    seen = Allocations(compute.device)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), seen, torch.no_grad():
            model = quantised(spec, outline(spec, compute.device, compute.dtype).eval())
            passes = Passes(model, shape, compute, cache)
            passes.prefill()
            passes.decode()
    except FAULTS:
        return None
    return seen.peak


def forget_peak(device: torch.device) -> None:
    """Begin to look for the most that is taken."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif device.type == "cpu" and sys.platform == "linux":
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        except OSError:  # where that is not allowed, it is the most since the process began
            return


def peak(device: torch.device) -> int | None:
    """The most that was taken since: tensors on a GPU, what the process holds on a CPU; None where nobody counts."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type != "cpu":
        return None
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next((int(each.split()[1]) * 1024 for each in lines if each.startswith("VmHWM:")), None)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
