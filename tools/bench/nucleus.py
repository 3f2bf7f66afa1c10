"""The nucleus of top-p beside a sort of the vocabulary: what each takes, for one row and for many.

Run `python tools/bench/nucleus.py`. On a GPU every figure is of a CUDA graph. It fails where the sort is faster.
"""

from __future__ import annotations

import statistics
import time
from functools import partial

import torch
from torch import Tensor

import _graphs
from _measure import REPEATS, at_most, finish, machine
from llm_build_plugins.generate._nucleus import nucleus

VOCAB, P, HEAT = 128_256, 0.9, 3.0


def by_sorting(scores: Tensor, p: float) -> Tensor:
    """scores [B, V] → bool [B, V], as plainly as can be."""
    ranked, order = scores.sort(dim=-1, descending=True, stable=True)
    held = ranked.softmax(-1).cumsum(-1)
    before = held.roll(1, -1)
    before[..., 0] = 0
    return torch.empty_like(before, dtype=torch.bool).scatter(-1, order, before < p)


def took(rows: int, device: str) -> dict[str, list[float]]:
    """Seconds of each side, taken in turn."""
    scores = torch.randn(rows, VOCAB, generator=torch.Generator().manual_seed(0)).to(device) * HEAT
    sides = {each.__name__: partial(each, scores, P) for each in (nucleus, by_sorting)}
    # sums of float32 are off by some last bits, and so is where they cross p
    apart = (sides["nucleus"]() != sides["by_sorting"]()).sum(-1).max()
    assert apart <= 20, f"the nuclei of {rows} rows differ by {int(apart)} tokens"
    if device == "cuda":
        return _graphs.alternate({name: [side] for name, side in sides.items()})
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(REPEATS):
        for name, side in sides.items():
            begun = time.perf_counter()
            side()
            found[name].append(time.perf_counter() - begun)
    return found


@torch.no_grad()
def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    machine("torch")
    print(torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads")
    verdicts = []
    for rows in (1, 8, 64):
        middle = {name: statistics.median(each) for name, each in took(rows, device).items()}
        told = ", ".join(f"{name} {1e6 * each:,.0f} µs" for name, each in middle.items())
        print(f"{rows} rows of {VOCAB:_}, p = {P}: {told}")
        verdicts.append(at_most("nucleus / sort", middle["nucleus"] / middle["by_sorting"], 1))
    finish(*verdicts)


if __name__ == "__main__":
    main()
