"""How near writing comes to what the memory allows: tokens a second against the rate of a copy in the same run.

Random weights, a prompt of 128, 256 new tokens, the likeliest 200 sampled; how soon that begins, `ready.py` says. Run
`python tools/bench/decode.py`:

    --shape 8b [--mode capture] [--quantizer int8] [--batch 1,8,64]   the fraction of the limit
    --shape mla1b                                                     its fraction beside that of 1b
    --shape 8b --modes                                                capture beside compile
    --capacity                                                        room for 16k tokens beside room for 512
    --profile                                                         the kernels that take the time
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from functools import partial

import torch

from _measure import alternate, at_least, finish, show
from _sides import NEW, PROMPT, SHAPES, Side, arguments, begin, rate_of, side
from llm_build.bench.clock import REPEATS, now
from llm_build.bench.shapes import Shape
from llm_build.run import Compute

FRACTION = {("1b", None): 0.58, ("8b", None): 0.83, ("8b", "int8"): 0.60, ("moe30b", None): 0.45}
RELATIVE = {"mla1b": 0.9, "mix1b": 0.9, "differential": 0.8}
"""Of the plain shape's fraction."""
CAPTURED = {"1b": 0.6, "8b": 0.75}
"""Of what is compiled."""
CAPACITIES, LARGE_CAPACITY = (2**14, 512), 0.9
IN_USE = range(PROMPT + 144, PROMPT + 272)
PROFILED = 64


def fraction(args: argparse.Namespace, compute: Compute) -> list[bool]:
    """The share of the limit for each batch; the bar is that of a batch of 1."""
    verdicts, model, rate = [], None, rate_of(compute)
    for batch in map(int, args.batch.split(",")):
        shape = Shape(prompt=PROMPT, new=NEW, batch=batch)
        one = side(args.shape, compute, rate, **way(args), shape=shape, model=model, sets=[f"generate.rows={batch}"])
        model = one.model
        cold = one.write()
        print(f"{one.name}, batch {batch}: the first text took {cold.whole:.1f} s, its first token {cold.first:.2f} s")
        rates = [one.rate() for _ in range(REPEATS)]
        bar = FRACTION.get((args.shape, args.quantizer)) if batch == 1 else None
        verdicts += told(one, rates, bar)
    return verdicts


def told(one: Side, rates: Sequence[float], bar: float | None = None) -> list[bool]:
    """Print a side's figures, and how they stand to a bar where there is one."""
    show(one.name, rates, "tokens/s", 1)
    reached = statistics.median(rates) / one.limit
    print(f"{'  memory limit':<44} {one.limit:,.1f} tokens/s, of which {reached:.3f}")
    return [] if bar is None else [at_least(f"fraction of the limit, {one.name}", reached, bar)]


def beside_plain(args: argparse.Namespace, compute: Compute) -> list[bool]:
    """The fraction of one shape by that of 1b, each of its own limit."""
    rate = rate_of(compute)
    one, plain = (side(name, compute, rate, **way(args)) for name in (args.shape, "1b"))
    mine, others = in_turn(one, plain)
    told(one, mine)
    told(plain, others)
    ratio = statistics.median(mine) / one.limit / (statistics.median(others) / plain.limit)
    return [at_least(f"fraction, {one.name} / {plain.name}", ratio, RELATIVE[args.shape])]


def modes(args: argparse.Namespace, compute: Compute) -> list[bool]:
    """Captured by compiled, of one model."""
    rate = rate_of(compute)
    compiled = side(args.shape, compute, rate, **{**way(args), "mode": "compile"})
    captured = side(args.shape, compute, rate, **{**way(args), "mode": "capture"}, model=compiled.model)
    one, other = in_turn(captured, compiled)
    told(captured, one)
    told(compiled, other)
    bar = CAPTURED.get(args.shape, 0.0)
    return [at_least("capture / compile", statistics.median(one) / statistics.median(other), bar)]


def in_turn(one: Side, other: Side) -> tuple[list[float], list[float]]:
    """Both warmed up, then five repeats of each."""
    one.write()
    other.write()
    return alternate(one.rate, other.rate)


def capacity(args: argparse.Namespace, compute: Compute) -> list[bool]:
    """Up to 400 tokens in use, with room for far more of them and for few."""
    rate = rate_of(compute)
    shapes = [Shape(prompt=PROMPT, new=each - PROMPT, batch=1) for each in CAPACITIES]
    large = side(args.shape, compute, rate, **way(args), shape=shapes[0])
    small = side(args.shape, compute, rate, **way(args), shape=shapes[1], model=large.model)
    sides = [partial(stretch, each, compute) for each in (large, small)]
    for each in sides:
        each()
    found = alternate(*sides)
    for size, rates in zip(CAPACITIES, found, strict=True):
        show(f"room for {size:_} tokens, {IN_USE[0]} to {IN_USE[-1] + 1} in use", rates, "tokens/s", 1)
    ratio = statistics.median(found[0]) / statistics.median(found[1])
    return [at_least("large / small", ratio, LARGE_CAPACITY)]


def stretch(one: Side, compute: Compute) -> float:
    """Tokens a second while a text is within IN_USE; nobody waits for the rest of it."""
    pieces = iter(one.bench.generator.generate(one.model, one.tokenizer, one.prompts, max_new=one.shape.new))
    for _ in range(IN_USE[0] - PROMPT):
        next(pieces)
    begun = time.perf_counter()
    for _ in IN_USE:
        next(pieces)
    taken = time.perf_counter() - begun
    del pieces
    now(compute.device)
    return len(IN_USE) / taken


def profile(args: argparse.Namespace, compute: Compute) -> list[bool]:
    """Where the time of a text goes, kernel by kernel."""
    one = side(args.shape, compute, 1.0, **way(args), shape=Shape(prompt=PROMPT, new=PROFILED, batch=1))
    one.write()
    with torch.profiler.profile() as seen:
        one.write()
    order = "self_cuda_time_total" if compute.device.type == "cuda" else "self_cpu_time_total"
    print(seen.key_averages().table(sort_by=order, row_limit=25, max_name_column_width=90))
    return []


def way(args: argparse.Namespace) -> dict[str, object]:
    return {"mode": args.mode, "quantizer": args.quantizer, "tiny": args.tiny}


def main() -> None:
    names = sorted(each.stem for each in SHAPES.glob("*.llm"))
    parser = arguments(__doc__, shapes=names)
    parser.set_defaults(shape="1b", what=None)
    parser.add_argument("--quantizer", help="int8")
    parser.add_argument("--batch", default="1", help="texts at once: 1,8,64")
    for what in (modes, capacity, profile):
        parser.add_argument(f"--{what.__name__}", dest="what", action="store_const", const=what, help=what.__doc__)
    args = parser.parse_args()
    usual = beside_plain if args.shape in RELATIVE else fraction
    verdicts = (args.what or usual)(args, begin(args))
    finish(*([] if args.tiny else verdicts))


if __name__ == "__main__":
    main()
