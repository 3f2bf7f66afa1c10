"""A model of tools/bench/shapes on a device, and one way in which it writes."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import torch

from _measure import machine
from llm_build import Context, build, load
from llm_build.assemble import quantised
from llm_build.bench.cells import Bench, Written, write
from llm_build.bench.memory import memory_rate
from llm_build.bench.numbers import Numbers
from llm_build.bench.shapes import Shape
from llm_build.components import field_specs
from llm_build.registry import installed
from llm_build.resolve import resolve
from llm_build.run import Compute

SHAPES = Path(__file__).parent / "shapes"
ROOT = Path(__file__).parents[2]
TINY = ("dim=384", "layers=2", "hidden=512", "vocab=2_048")
MODES = ("capture", "compile", "eager")
PROMPT, NEW = 128, 256


def arguments(doc: str | None, *, shapes: Sequence[str] = ()) -> argparse.ArgumentParser:
    """What the scripts about writing have in common."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="auto", help="bfloat16 on a GPU and float32 on a CPU, unless it is given")
    parser.add_argument("--mode", choices=MODES, default="compile", help="how a step is launched")
    parser.add_argument("--tiny", action="store_true", help="a model of a million weights: whether the script runs")
    if shapes:
        parser.add_argument("--shape", choices=shapes, default=shapes[0])
    return parser


def begin(args: argparse.Namespace, *distributions: str) -> Compute:
    """Say where the figures come from, and where they are computed."""
    compute = Compute.choose(args.device, args.dtype)
    machine("torch", *distributions)
    device = torch.cuda.get_device_name() if compute.device.type == "cuda" else platform.machine()
    print(f"device: {device}, {compute.described()['dtype']}, {torch.get_num_threads()} threads")
    return compute


def rate_of(compute: Compute) -> float:
    """Bytes a second of a copy, printed."""
    rate = memory_rate(compute.device)
    print(f"a copy moves {rate.median / 1e9:,.0f} GB/s ({rate.low / 1e9:,.0f} to {rate.high / 1e9:,.0f})")
    return rate.median


@attrs.frozen(kw_only=True)
class Side:
    """A model, its spec, and a generator for it; `limit` is the tokens a second that the memory allows."""

    name: str
    spec: Any
    model: Any
    bench: Bench
    shape: Shape
    tokenizer: Numbers
    prompts: Sequence[str]

    @property
    def limit(self) -> float:
        bytes_a_step = sum((each.weights + each.state) * each.count for each in self.bench.reads(self.shape))
        return self.bench.rate * self.shape.batch / bytes_a_step

    def write(self) -> Written:
        """A batch, written once."""
        return write(self.bench, self.tokenizer, self.prompts, self.shape.new)

    def rate(self) -> float:
        """Tokens a second behind each text's first."""
        return self.write().rate

    def whole_rate(self) -> float:
        """New tokens a second, the prompt's time included."""
        return self.shape.new * self.shape.batch / self.write().whole


def settings(mode: str, quantizer: str | None, tiny: bool) -> list[str]:
    """What `--set` would say of a way to write."""
    found = [*TINY] * tiny + [f"generate.capture={str(mode != 'eager').lower()}"]
    if mode == "compile" or "compile" in field_specs(installed().config("generator", "decode")):
        found.append(f"generate.compile={str(mode == 'compile').lower()}")
    return found + ([] if quantizer is None else [f"generate.quantizer={quantizer}"])


def side(
    name: str,
    compute: Compute,
    rate: float,
    *,
    mode: str,
    quantizer: str | None = None,
    tiny: bool = False,
    shape: Shape | None = None,
    model: Any = None,
    sets: Sequence[str] = (),
) -> Side:
    """A side with weights drawn on the device, or with those of `model`; `sets` changes its spec further."""
    use_differential(name)
    spec: Any = resolve(load(SHAPES / f"{name}.llm", [*settings(mode, quantizer, tiny), *sets]), Context())
    if model is None:
        begun = time.perf_counter()
        model = quantised(spec, build(spec, device=compute.device, dtype=compute.dtype, seed=compute.seed).eval())
        print(f"{name}: weights made in {time.perf_counter() - begun:.1f} s")
    shape = shape or Shape(prompt=PROMPT, new=NEW, batch=1)
    tokenizer = Numbers(model)
    bench = Bench(
        model=model, config=spec.model, generator=spec.part("generate", Context()), compute=compute, rate=rate
    )
    return Side(
        name=f"{name}, {mode}" + (f", {quantizer}" if quantizer else ""),
        spec=spec,
        model=model,
        bench=bench,
        shape=shape,
        tokenizer=tokenizer,
        prompts=tokenizer.prompts(shape, compute.seed),
    )


def use_differential(name: str) -> None:
    """Somebody else's plugin, from the folder of its source where it is not installed."""
    if name == "differential" and "acme.differential" not in installed().names("attention"):
        sys.path.insert(0, str(ROOT / "tests" / "plugins" / "acme_differential" / "src"))
        installed().add_named("acme_differential")
