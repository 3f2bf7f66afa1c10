"""One shape, measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import attrs

from llm_build.bench.clock import REPEATS, Spread, compiling, now, seconds
from llm_build.bench.kernels import attending
from llm_build.bench.memory import forget_peak, peak
from llm_build.bench.numbers import Numbers
from llm_build.bench.passes import Passes
from llm_build.bench.report import Cell
from llm_build.bench.shapes import Shape
from llm_build.components import Config
from llm_build.cost.reads import Read, reads
from llm_build.errors import GenerationError
from llm_build.interfaces import Cache, Generator, reads_source, serves
from llm_build.run import Compute


@attrs.frozen(kw_only=True)
class Bench:
    """What is measured, where. `rate` is that of the memory, bytes a second."""

    model: Any
    config: Config
    generator: Generator
    compute: Compute
    rate: float

    @property
    def cache(self) -> Cache | str:
        """That of the generator, where it has one."""
        cache: Cache | str = getattr(self.generator, "cache", "dense")
        return cache

    def reads(self, shape: Shape) -> list[Read]:
        """What a decode step of a shape reads of each part, as the cache stores it."""
        stored = getattr(self.cache, "token_bytes", None)
        return reads(self.model, self.config, shape.batch, in_use(self.model, shape), shape.prompt, stored)


@attrs.frozen
class Written:
    """A batch that was written: seconds to its first token, and tokens a second from when each text had one."""

    first: float
    rate: float
    whole: float


def measure(bench: Bench, shape: Shape) -> Cell:
    """Every figure of a shape, through the spec's generator; prefill, by the model's contract, without it."""
    device, model = bench.compute.device, bench.model
    if serves(bench.generator):
        bench.generator.close()  # what it keeps is that of another shape
    forget_peak(device)
    passes = Passes(model, shape, bench.compute, bench.cache)
    kernels = attending(model, passes)
    prefill = [_prefill(passes, bench) for _ in range(REPEATS)]
    del passes
    tokenizer = Numbers(model)
    prompts = tokenizer.prompts(shape, bench.compute.seed)
    with compiling() as compiled:
        cold = write(bench, tokenizer, prompts, shape.new)
        warm = [write(bench, tokenizer, prompts, shape.new) for _ in range(REPEATS)]
        compile_seconds = compiled()
    return Cell(
        shape=shape,
        prefill=Spread.of([shape.prompt * shape.batch / each for each in prefill]),
        decode=Spread.of([each.rate for each in warm]),
        first=Spread.of([each.first for each in warm]),
        compile_seconds=compile_seconds,
        warm_up_seconds=max(0.0, cold.whole - Spread.of([each.whole for each in warm]).median),
        peak=peak(device),
        reads=tuple(bench.reads(shape)),
        rate=bench.rate,
        kernels=tuple(kernels),
    )


def in_use(model: Any, shape: Shape) -> range:
    """The tokens of a text in each decode step, the one that it takes included."""
    before = 1 if reads_source(model) else shape.prompt
    return range(before + 1, before + shape.new)


def write(bench: Bench, tokenizer: Numbers, prompts: Sequence[str], new: int) -> Written:
    """Let the generator write. Raises `GenerationError` where it stops at the first token."""
    first = since = 0.0
    later, begun_rows = 0, set[int]()
    begun = now(bench.compute.device)
    for piece in bench.generator.generate(bench.model, tokenizer, prompts, max_new=new, seed=bench.compute.seed):
        if piece.token is None:
            continue
        since, first = (since, first) if begun_rows else (since, time.perf_counter() - begun)
        if len(begun_rows) == len(prompts):
            later += 1
            continue
        begun_rows.add(piece.row)
        since = time.perf_counter()
    end = now(bench.compute.device)
    if not later:
        raise GenerationError("a generator must write a second token, so that its speed is known; it wrote none")
    return Written(first, later / (end - since), end - begun)


def _prefill(passes: Passes, bench: Bench) -> float:
    passes.reset()
    return seconds(passes.prefill, bench.compute.device)
