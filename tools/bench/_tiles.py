"""Tiles of thin products, each timed: what `tile` in `_thin_kernel.py` is made of."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, silu
from triton.runtime.errors import OutOfResources

from _graphs import Call, alternate
from llm_build_plugins._thin_kernel import Tile, launch, tile

BYTES = 150e6
"""Matrices of so many bytes in all: three times a cache."""
DTYPE = torch.bfloat16
BEST = 4

Timed = Callable[[Tile], Sequence[Call]]
"""The calls that a tile is timed by."""


def sums() -> Iterator[Tile]:
    """Tiles of which each thread holds 16 to 64 numbers."""
    for width, depth, warps in itertools.product((1, 2, 4, 8), (256, 512, 1_024, 2_048, 4_096), (2, 4, 8)):
        if 16 <= width * depth // (32 * warps) <= 64:
            yield Tile(width, depth, warps)
            if depth == 1_024:
                yield Tile(width, depth, warps, 3)


def dots(size: int) -> Iterator[Tile]:
    """Tiles of 32 KB or more in flight, rows of 256 bytes or more."""
    for width, depth, warps, stages in itertools.product((16, 32), (128, 256, 512), (2, 4), (3, 5)):
        if depth * size >= 256 and width * depth * size * stages >= 32_768:
            yield Tile(width, depth, warps, stages, dot=True)


def tune(
    shapes: Sequence[tuple[int, int]], banks: Sequence[tuple[int, int, int]], k: int, rate: float
) -> Mapping[str, Any]:
    """The best tiles for matrices [O, I] of either size and few rows, and for k rows of a bank [X, O, I]."""
    found: dict[str, Any] = {}
    begun = time.perf_counter()
    for (rows, size), shape in itertools.product(((1, 2), (1, 1), (8, 2), (8, 1), (2, 2), (4, 2)), shapes):
        _tune(found, rows, size, *shape, rate)
        if (rows, size, shape) == (1, 2, shapes[-1]):
            for bank in banks:
                _bank(found, bank, k, rate)
            _between(found, shapes[0][1])
    print(f"all took {time.perf_counter() - begun:.0f} s")
    return found


def _tune(found: dict[str, Any], rows: int, size: int, outputs: int, inputs: int, rate: float) -> None:
    title, read = f"{inputs}→{outputs} ×{rows}, {8 * size} bits", outputs * inputs * size
    count = max(2, math.ceil(BYTES / read))
    x = torch.randn(rows, inputs, dtype=DTYPE, device="cuda")
    weights: list[Tensor]
    if size == 2:
        weights, scale = [torch.randn(outputs, inputs, dtype=DTYPE, device="cuda") for _ in range(count)], None
        took = statistics.median(alternate({"": [lambda each=each: linear(x, each) for each in weights]}, 3)[""])
        print(f"{title:<30} {1e6 * took:7.2f} µs {read / took / rate:.3f} linear", flush=True)
    else:
        shape, scale = (outputs, inputs), torch.rand(outputs, device="cuda")
        weights = [torch.randint(-127, 128, shape, dtype=torch.int8, device="cuda") for _ in range(count)]

    def calls(chosen: Tile) -> Sequence[Call]:
        return [lambda w=each: launch(x, w, None, scale, None, DTYPE, True, chosen) for each in weights]

    plain = () if rows > 4 else sums() if rows == 1 else (each for each in sums() if each.stages == 1 < each.width)
    ways = [*plain, *(dots(size) if rows > 1 or size == 1 else ())]
    _sweep(found, title, calls, [tile(outputs, inputs, rows, size), *ways], read, rate)


def _bank(found: dict[str, Any], shape: tuple[int, int, int], k: int, rate: float) -> None:
    """Each of k rows has an expert of its own, other ones each time."""
    experts, outputs, inputs = shape
    weight = torch.randn(shape, dtype=DTYPE, device="cuda")
    x = torch.randn(k, inputs, dtype=DTYPE, device="cuda")
    owners = [torch.randperm(experts, device="cuda")[:k] for _ in range(16)]

    def calls(chosen: Tile) -> Sequence[Call]:
        return [lambda owner=each: launch(x, weight, None, None, owner, DTYPE, True, chosen) for each in owners]

    title, rule = f"{inputs}→{outputs}, {k} of {experts}", tile(outputs, inputs, 1, 2)
    _sweep(found, title, calls, [rule, *sums()], 2 * k * outputs * inputs, rate)


def _between(found: dict[str, Any], dim: int) -> None:
    """Whether beginning early helps where one of torch's kernels stands between two products."""
    weights = [torch.randn(dim, dim, dtype=DTYPE, device="cuda") for _ in range(math.ceil(BYTES / 2 / dim**2))]
    x = torch.randn(1, dim, dtype=DTYPE, device="cuda")

    def calls(early: bool) -> Sequence[Call]:
        chosen = tile(dim, dim, 1, 2)._replace(early=early)
        return [lambda w=each: silu(launch(x, w, None, None, None, DTYPE, True, chosen)) for each in weights]

    for early, each in alternate({str(early): calls(early) for early in (False, True)}).items():
        took = statistics.median(each)
        print(f"{dim}→{dim} and silu, early {early}: {1e6 * took:.2f} µs", flush=True)
        found[f"between {early}"] = took


def _sweep(found: dict[str, Any], title: str, timed: Timed, choices: Sequence[Tile], read: float, rate: float) -> None:
    """Time each choice once, then the best few and the rule anew, in turn, also where they begin early."""
    once = {each: took for each in dict.fromkeys(choices) if (took := _once(timed(each))) is not None}
    best = sorted(once, key=lambda each: once[each])[:BEST]
    again = dict.fromkeys([choices[0], *best, *(each._replace(early=True) for each in best)])
    figures = {
        each: statistics.median(took) for each, took in alternate({each: timed(each) for each in again}, 3).items()
    }
    for each in sorted(figures, key=lambda each: figures[each]):
        rule = "the rule" if each == choices[0] else ""
        print(
            f"{title:<30} {1e6 * figures[each]:7.2f} µs {read / figures[each] / rate:.3f} {(*each,)} {rule}", flush=True
        )
    found[title] = {
        "once": [[*each, took] for each, took in once.items()],
        "again": [[*each, took] for each, took in figures.items()],
    }


def _once(calls: Sequence[Call]) -> float | None:
    """Seconds; None where the tile needs more room than there is."""
    try:
        return min(alternate({"": calls}, 2)[""])
    except OutOfResources:
        return None
