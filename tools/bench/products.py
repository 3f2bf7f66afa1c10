"""Products of few rows on a GPU: thin ones beside torch's, weights of a byte, experts of a mixture,
matrices of heads.

Run `python tools/bench/products.py [--tune] [--json FILE]`. Every figure is of a CUDA graph over so many matrices that
none stays in the cache. `--tune` times tiles instead, of which `tile` in `_thin_kernel.py` is made.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from _graphs import Call, alternate
from _measure import machine
from _sides import rate_of
from _tiles import tune
from llm_build import Context, build
from llm_build.run import Compute
from llm_build_plugins import ffn
from llm_build_plugins._thin import product
from llm_build_plugins.ffn import _rows
from llm_build_plugins.quantize._linear import Int8Linear

SHAPES = {
    "1B": [(3_072, 2_048), (2_048, 2_048), (16_384, 2_048), (2_048, 8_192), (128_256, 2_048)],
    "8B": [(6_144, 4_096), (4_096, 4_096), (28_672, 4_096), (4_096, 14_336), (128_256, 4_096)],
}
"""outputs, inputs"""
EXPERTS, CHOSEN, HIDDEN, DIM = 128, 8, 768, 2_048
HEADS, NOPE, RANK = 16, 128, 512
BYTES = 300e6
"""Matrices of so many bytes in all: six times a cache."""
ROWS = (1, 2, 4, 8, 16, 32)
DTYPE = torch.bfloat16


def matrices(outputs: int, inputs: int) -> list[Tensor]:
    count = max(2, math.ceil(BYTES / (2 * outputs * inputs)))
    return [random(outputs, inputs) for _ in range(count)]


def random(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape, dtype=DTYPE, device="cuda"), requires_grad=False)


def close(y: Tensor, x: Tensor, weight: Tensor, scale: Tensor | None = None) -> None:
    """No farther off the exact product than by its last bit and a sum in float32."""
    by: Any = 1 if scale is None else scale
    exact = (x.double() @ weight.double().t()) * by
    size = (x.double().abs() @ weight.double().abs().t()) * by
    off = (y.double() - exact).abs() - torch.finfo(y.dtype).eps * exact.abs() - 1e-5 * size
    assert (off <= 0).all(), f"{tuple(weight.shape)}, {len(x)} rows: {float(off.max())} too far off"


def dense(rows: int, weights: Sequence[Tensor], narrow: Sequence[Int8Linear]) -> dict[str, Sequence[Call]]:
    """Ways to take x [R, I] times matrices [O, I]."""
    x = random(rows, weights[0].shape[1])
    if weights[0].numel() < 2**28:  # in float64 it needs room
        close(product(x, weights[0]), x, weights[0])
        close(narrow[0](x), x, narrow[0].matrix, narrow[0].scale)
    return {
        "linear": [lambda weight=each: linear(x, weight) for each in weights],
        "thin": [lambda weight=each: product(x, weight) for each in weights],
        "int8": [lambda each=each: each(x) for each in narrow],
    }


def experts(positions: int, bank: nn.Module) -> dict[str, Sequence[Call]]:
    """Ways to take positions [N, D] through k of the experts of a bank, each call through others."""
    x = random(positions, DIM)
    weights = torch.full((positions, CHOSEN), 1 / CHOSEN, device="cuda")
    chosen = [torch.rand(positions, EXPERTS, device="cuda").topk(CHOSEN).indices for _ in range(16)]

    def through(way: _rows.Arrange, indices: Tensor) -> Tensor:
        rows = way(indices, EXPERTS)
        return rows.collect(bank(rows.spread(x), rows.groups), weights)

    ways = {"gathered": _rows.gathered, "grouped": _rows.grouped, "blocked": _rows.blocked}
    expected = through(_rows.blocked, chosen[0])
    for way in ways.values():
        found = through(way, chosen[0])
        torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05 * float(expected.abs().max()))
    return {name: [lambda way=way, each=each: through(way, each) for each in chosen] for name, way in ways.items()}


def by_head(positions: int, matrices: Sequence[Tensor]) -> dict[str, Sequence[Call]]:
    """Ways to take x [1, N, H, I] times a matrix [O, I] of each head."""
    x = random(1, positions, matrices[0].shape[0], matrices[0].shape[2])
    from llm_build_plugins.attention._heads_kernel import launch  # Triton comes with CUDA

    close(launch(x, matrices[0], None, True)[0, :, 0], x[0, :, 0], matrices[0][0])
    return {
        "einsum": [lambda each=each: torch.einsum("bthi,hoi->btho", x, each) for each in matrices],
        "by head": [lambda each=each: launch(x, each, None, True) for each in matrices],
    }


def show(title: str, found: Mapping[str, Sequence[float]], read: Mapping[str, float], rate: float) -> dict[str, float]:
    """Print median and spread of each side and the share of a copy's rate at which it reads; return the medians."""
    middle = {name: statistics.median(each) for name, each in found.items()}
    parts = [
        f"{name} {1e6 * middle[name]:.1f} µs ({1e6 * min(each):.1f} to {1e6 * max(each):.1f}), "
        f"{read[name] / middle[name] / 1e9:,.0f} GB/s, {read[name] / middle[name] / rate:.2f}"
        for name, each in found.items()
    ]
    print(f"{title:<22}" + " | ".join(parts), flush=True)
    return middle


def crossover(figures: Mapping[int, Mapping[str, float]], ours: str, theirs: str) -> None:
    """Print up to how many rows ours is no slower."""
    faster = list(itertools.takewhile(lambda rows: figures[rows][ours] <= figures[rows][theirs], figures))
    print(f"    {ours} is no slower than {theirs} up to {faster[-1] if faster else 0} of {(*figures,)}", flush=True)


def products(rate: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for model, (outputs, inputs) in ((model, shape) for model, shapes in SHAPES.items() for shape in shapes):
        weights, size = matrices(outputs, inputs), outputs * inputs
        narrow = [Int8Linear.of(each, None) for each in weights]
        read = {"linear": 2 * size, "thin": 2 * size, "int8": size}
        title = f"{model} {inputs}→{outputs}"
        figures = {rows: show(f"{title} ×{rows}", alternate(dense(rows, weights, narrow)), read, rate) for rows in ROWS}
        crossover(figures, "thin", "linear")
        crossover(figures, "int8", "linear")
        found[title] = figures
    return found


def mixture(rate: float) -> dict[str, Any]:
    bank = build(ffn.swiglu(hidden=HIDDEN), context=Context(dim=DIM, experts=EXPERTS), dtype=DTYPE, device="cuda")
    figures = {}
    for positions in ROWS:
        sides = experts(positions, bank)
        # of the experts that as many positions are expected to choose
        read = 2 * 3 * DIM * HIDDEN * EXPERTS * (1 - (1 - CHOSEN / EXPERTS) ** positions)
        title = f"MoE {CHOSEN} of {EXPERTS} ×{positions}"
        figures[positions] = show(title, alternate(sides), dict.fromkeys(sides, read), rate)
    crossover(figures, "gathered", "grouped")
    return {"mixture": figures}


def heads(rate: float) -> dict[str, Any]:
    """The two products of absorbed latent attention."""
    found: dict[str, Any] = {}
    banks = [random(HEADS, NOPE + NOPE, RANK) for _ in range(math.ceil(BYTES / (4 * HEADS * NOPE * RANK)))]
    for name, sides in (
        ("keys", [each[:, :NOPE].mT for each in banks]),
        ("values", [each[:, NOPE:] for each in banks]),
    ):
        read = dict.fromkeys(("einsum", "by head"), 2 * HEADS * NOPE * RANK)
        title = f"latents, {name}"
        figures = {rows: show(f"{title} ×{rows}", alternate(by_head(rows, sides)), read, rate) for rows in ROWS}
        crossover(figures, "by head", "einsum")
        found[title] = figures
    return found


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    machine("torch", "triton")
    print(torch.cuda.get_device_name())
    rate = rate_of(Compute.choose("cuda"))
    shapes = [shape for shapes in SHAPES.values() for shape in shapes]
    banks = [(EXPERTS, 2 * HIDDEN, DIM), (EXPERTS, DIM, HIDDEN)]
    found = tune(shapes, banks, CHOSEN, rate) if chosen.tune else {**products(rate), **mixture(rate), **heads(rate)}
    if chosen.json:
        chosen.json.write_text(json.dumps({"rate": rate, **found}))


if __name__ == "__main__":
    main()
