"""Attention over what is stored on a GPU: that every kernel computes what the reference computes, and what it takes.

Run `python tools/bench/attention.py` for all; `--check` or `--time` for one of them; `--tune` times other tiles of the
split kernel than those that llm_build/attend/tiles.py chooses. Figures are of CUDA graphs over so many layers that no
cache has their keys; five repeats, alternating. `--flex` checks FlexAttention, compiled and with gradients, and times
steps of training with it. Legend: see _attending.py and _flexing.py.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import torch

import _flexing
from _attending import Case, Kernel, Scene, calls, scene
from _graphs import alternate
from _measure import finish, machine
from llm_build.attend import eager, flash, masked, split
from llm_build.attend.flash import flash_lacks
from llm_build.attend.split import FEW, split_lacks
from llm_build.attend.tiles import Tiles, tiles_for

WORKERS = 12
GQA = Case(name="gqa128", rows=1, length=400, capacity=512)
SMALL = replace(GQA, name="gqa64", width=64)
MLA = replace(GQA, name="mla576", heads=16, kv_heads=1, width=576, latent=True)
WINDOW = replace(GQA, name="window", window=512)
ROOM = 20 * 2**30
"""Bytes that a case may keep."""


def checked() -> Iterator[Case]:
    """Ragged cases of all shapes, layouts and options; what is kept of them fits."""
    for base, rows, (length, capacity), queries in itertools.product(
        (GQA, SMALL, MLA, WINDOW),
        (1, 4, 64, 256),
        ((1, 512), (100, 512), (400, 512), (1000, 2048), (16_000, 16_384)),
        (1, 4),
    ):
        case = replace(base, rows=rows, length=max(length, queries), capacity=capacity, queries=queries, ragged=True)
        layouts = ("dense", "paged") if base.window is None else ("dense", "ring", "paged")
        yield from (each for layout in layouts if (each := replace(case, layout=layout)).kept <= ROOM)
    for dtype, sinks in itertools.product((torch.float32, torch.float16, torch.bfloat16), (False, True)):
        for base, queries, odd in itertools.product((GQA, MLA), (1, 4, 16), (False, True)):
            shape = {"width": 80, "v_width": 48, "heads": 24} if odd and not base.latent else {}
            yield replace(
                base, **shape, rows=5, length=700, capacity=777, queries=queries, dtype=dtype, sinks=sinks,
                softcap=20.0 if sinks else None, ragged=True,
            )  # fmt: skip
    for queries, layout, sinks in itertools.product((128, 700), ("dense", "paged", "ring"), (False, True)):
        yield replace(
            WINDOW, rows=3, length=1500, capacity=2048, queries=queries, layout=layout, sinks=sinks, ragged=True
        )
        if layout != "ring":
            yield replace(
                GQA, rows=3, length=1500, capacity=2048, queries=queries, layout=layout, sinks=sinks, ragged=True
            )


def check() -> bool:
    """Whether every kernel comes as close to the reference in float64 as its dtype allows, twice the same."""
    begun, counted, failed = time.monotonic(), {"split": 0, "flash": 0, "masked": 0}, 0
    warm([(case, ruled(case)) for case in checked() if case.queries <= FEW or case.sinks])
    for number, case in enumerate(checked()):
        given = scene(case, number)
        exact = given.exactly(2).by(eager)
        for kernel in kernels(given):
            found = given.by(kernel)
            close = nearness(found[:2].double(), exact, case.dtype)
            same = kernel is not split or torch.equal(found, given.by(kernel))
            counted[kernel.__name__] += 1
            if not close or not same:
                failed += 1
                off = (found[:2].double() - exact).abs().max().item()
                print(f"FAILS {kernel.__name__}: {case}: off by {off:.2e}{'' if same else ', and not twice the same'}")
        del given
        torch.cuda.empty_cache()
    print(f"checked {counted} in {time.monotonic() - begun:.0f} s: {failed} fail")
    return not failed


def kernels(given: Scene) -> list[Kernel]:
    """Those that take a scene."""
    found: list[Kernel] = [split] if not split_lacks(given.q, given.places, given.options) else []
    found += [flash] if not flash_lacks(given.q, given.v, given.places, given.options) else []
    plain = given.options.softcap is None and given.options.sinks is None
    return found + ([masked] if plain and given.q.shape[0] <= 64 else [])


def flexing() -> bool:
    """FlexAttention: that it is right, and what it takes."""
    return all([_flexing.check(), _flexing.measure()])


def nearness(found: torch.Tensor, exact: torch.Tensor, dtype: torch.dtype) -> bool:
    off = {torch.float32: 3e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}[dtype]
    return bool(((found - exact).abs() <= off * (1 + exact.abs())).all())


def timed() -> Iterator[tuple[Case, list[Kernel]]]:
    for base, (length, capacity) in itertools.product(
        (SMALL, GQA, MLA), ((100, 512), (400, 512), (400, 16_384), (1000, 2048), (16_000, 16_384))
    ):
        for rows in (1, 4, 64, 256):
            case = replace(base, rows=rows, length=length, capacity=capacity)
            if case.kept <= ROOM:
                yield case, [split, masked]
    for layout in ("dense", "ring", "paged"):
        yield replace(WINDOW, length=3000, capacity=4096, layout=layout), [split, masked]
    yield replace(GQA, length=1000, capacity=2048, layout="paged"), [split, masked]
    yield replace(GQA, length=1000, capacity=2048, queries=4), [split, masked]
    yield replace(GQA, length=1000, capacity=2048, dtype=torch.float32), [split, masked]
    for queries, rows, ragged in ((4096, 1, False), (512, 1, False), (32, 1, False), (1024, 16, True)):
        case = replace(GQA, name="prefill", rows=rows, queries=queries, length=4096, capacity=4096, ragged=ragged)
        yield case, [flash, masked]
    yield replace(WINDOW, name="prefill", queries=2048, length=4096, capacity=4096, layout="ring"), [flash, masked]


def measure() -> None:
    """Print what each kernel takes for a call."""
    warm([(case, ruled(case)) for case, every in timed() if split in every])
    for case, every in timed():
        taken = alternate({kernel.__name__: calls(case, kernel) for kernel in every})
        torch.cuda.empty_cache()
        print(f"{case!s:<44}", "   ".join(f"{name} {shown(case, each)}" for name, each in taken.items()))


def shown(case: Case, taken: list[float]) -> str:
    middle = statistics.median(taken)
    rate = f"{case.read / middle / 1e9:5.0f} GB/s"
    if case.queries > 64:
        # half of the last queries' square is behind causality
        seen = case.queries * (case.length - case.queries / 2)
        rate = f"{4 * case.rows * case.heads * case.width * seen / middle / 1e12:5.0f} TFLOP/s"
    return f"{middle * 1e6:8.1f} µs ({min(taken) * 1e6:.1f} to {max(taken) * 1e6:.1f}), {rate}"


TUNED = [
    *[replace(SMALL, rows=rows, length=length, capacity=capacity) for rows, length, capacity in (
        (1, 400, 512), (1, 400, 16_384), (1, 16_000, 16_384), (4, 1000, 2048), (64, 800, 2048), (256, 800, 2048),
    )],
    *[replace(GQA, rows=rows, length=length, capacity=capacity) for rows, length, capacity in (
        (1, 400, 512), (1, 16_000, 16_384), (16, 1000, 2048), (64, 800, 2048),
    )],
    *[replace(MLA, rows=rows, length=length, capacity=capacity) for rows, length, capacity in (
        (1, 400, 512), (1, 16_000, 16_384), (64, 800, 2048),
    )],
    replace(WINDOW, length=3000, capacity=4096, layout="ring"),
    replace(GQA, length=1000, capacity=2048, queries=4),
]  # fmt: skip


def variants(case: Case) -> Iterator[Tiles]:
    """Tiles near those of the rule, which come first."""
    rule = ruled(case)
    yield rule
    programs = case.rows * case.kv_heads
    wide = case.width > 256
    for keys, splits, warps in itertools.product(
        (16, 32, 64) if wide else (32, 64, 128), (1, 2, 4, 8, 16, 32, 64), (4, 8) if wide else (2, 4)
    ):
        if 64 <= programs * splits <= 2048 and splits * keys <= 2 * case.capacity:
            yield replace(rule, keys=keys, splits=splits, warps=warps)
    yield from (replace(rule, stages=stages) for stages in (1, 2, 3, 4, 5))
    yield replace(rule, joined=not rule.joined)


def ruled(case: Case) -> Tiles:
    queries = case.queries * case.heads // case.kv_heads
    width = case.v_width or case.width
    cells = (case.window or 0) + case.queries if case.layout == "ring" else case.capacity
    return tiles_for(case.rows, case.kv_heads, queries, case.width, width, cells, case.dtype.itemsize)


def cut(tiles: Tiles) -> Kernel:
    """The split kernel with tiles of one's own."""
    from llm_build.attend._split import launch

    def kernel(q, k, v, places, options):  # type: ignore[no-untyped-def]
        where = places.k_index
        return launch(
            q, k, v, places.q_index, None, where.lengths, where.table, options.sinks, where.ring, where.reach, True,
            options.window, q.shape[-1] ** -0.5, options.softcap, tiles,
        )  # fmt: skip

    kernel.__name__ = "split"
    return kernel


def compiled(asked: tuple[Case, Tiles]) -> str:
    """Run once, so that the compiled kernel lies on the disk; what is wrong with it otherwise."""
    case, tiles = asked
    try:
        scene(case).by(cut(tiles))
        torch.cuda.synchronize()
    except Exception as fault:  # noqa: BLE001 - tiles that do not fit are no result
        return f"{type(fault).__name__}: {str(fault)[:80]}"
    return ""


def warm(asked: Sequence[tuple[Case, Tiles]]) -> list[str]:
    """Compile what is asked for, in several processes → what is wrong with each."""
    # the rows and their length are no part of a kernel
    small = [(replace(case, rows=1, length=case.queries), tiles) for case, tiles in asked]
    once_each = list(dict.fromkeys(small))
    begun = time.monotonic()
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        wrong = dict(zip(once_each, pool.map(compiled, once_each, chunksize=2), strict=True))
    failed = {each for each in wrong.values() if each}
    print(f"{len(once_each)} kernels compiled in {time.monotonic() - begun:.0f} s", *sorted(failed), sep="\n    ")
    return [wrong[each] for each in small]


def tune() -> None:
    """Print the fastest tiles of each case, and how far the rule is from them."""
    asked = [(case, tiles) for case in TUNED for tiles in dict.fromkeys(variants(case))]
    wrong = dict(zip(asked, warm(asked), strict=True))
    for case in TUNED:
        fits = [tiles for each, tiles in asked if each is case and not wrong[case, tiles]]
        # every graph keeps its own cells: one at a time
        taken = {tiles: min(alternate({"": calls(case, cut(tiles))}, 2)[""]) for tiles in fits}
        best = sorted(taken, key=taken.__getitem__)[:4]
        rule = taken.get(ruled(case), float("nan"))
        print(f"{case!s}: rule {rule * 1e6:.1f} µs, {ruled(case)}; {rule / taken[best[0]]:.2f} of the best")
        for tiles in best:
            print(f"    {taken[tiles] * 1e6:8.1f} µs  {case.read / taken[tiles] / 1e9:5.0f} GB/s  {tiles}")
        torch.cuda.empty_cache()


@torch.inference_mode()
def main() -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    machine("torch")
    print(torch.cuda.get_device_name())
    given = sys.argv[1:]
    jobs: dict[str, Callable[[], bool | None]] = {
        "--check": check,
        "--time": measure,
        "--tune": tune,
        "--flex": flexing,
    }
    results = [jobs[each]() for each in (given or ["--check", "--time", "--flex"])]
    finish(*(each is not False for each in results))


if __name__ == "__main__":
    main()
