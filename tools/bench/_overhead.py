"""What a step costs beyond its arithmetic: data drawn from a corpus and figures logged, against batches at hand.

Both sides are the same loop on the same weights. One draws its batches, moves them to the device and logs to
metrics.jsonl; the other has them on the device already, knows how many targets count, and logs nothing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import attrs
import torch
from torch import Tensor

from _drawn import drawn_job
from _measure import REPEATS, at_most, show
from llm_build.corpus import Batch, Corpus, Example
from llm_build.run import Compute, Job, keep_memory
from llm_build_plugins.train._loop import Loop

SPEC = """llm 1
model = decoder {{
  dim = {dim}
  vocab = {vocab}
  context = {context}
  position = rope
  layers = {layers} * block {{
    norm = rms
    attention = gqa {{ heads = {heads}, kv_heads = {heads} }}
    ffn = swiglu {{ hidden = {hidden} }}
  }}
  norm = rms
  head = linear {{ tie = true }}
}}
train = pretrain {{ steps = 10k, batch = {rows}, schedule = none }}
"""
SHAPES = {
    "cpu": {"dim": 384, "layers": 6, "heads": 6, "hidden": 1_024, "vocab": 8_192, "context": 256, "rows": 4},
    "cuda": {"dim": 768, "layers": 12, "heads": 12, "hidden": 2_048, "vocab": 50_304, "context": 1_024, "rows": 32},
}
TURN = {"cpu": 1, "cuda": 8}
"""Steps of one side before it is the other's turn: few where the machine's mood changes quickly."""
TURNS = {"cpu": 12, "cuda": 3}
"""Turns of each side in a repeat."""
COMPARED = 4
TOLERANCE = {"cpu": 0.0, "cuda": 1e-3}
BAR = 1.01


@attrs.frozen(kw_only=True, eq=False)
class Counted(Batch):
    """A batch whose number of targets is known."""

    targets_that_count: int

    def counted(self) -> int:
        return self.targets_that_count

    def map(self, change: object) -> Batch:
        return self


class AtHand:
    """The same examples as a corpus gives, on the device before training begins."""

    def __init__(self, job: Job, rows: int, steps: int) -> None:
        self.rows, self.count = rows, job.corpus.train.count
        self.batches = [self._made(job, step) for step in range(steps)]

    def batch(self, position: int, rows: int) -> Batch:
        return self.batches[position // self.rows % len(self.batches)]  # one is drawn ahead of the last step

    def draw(self, position: int, rows: int) -> Sequence[Example]:
        raise NotImplementedError("a trainer asks for batches")

    def _made(self, job: Job, step: int) -> Batch:
        batch = job.corpus.train.batch(step * self.rows, self.rows)
        moved: dict[str, Tensor] = {name: getattr(batch, name).to(job.compute.device) for name in ("tokens", "targets")}
        return Counted(**moved, targets_that_count=batch.counted())


def overhead(device: str, folder: Path) -> bool:
    """Measure and print both sides; whether data and logging cost less than they may."""
    keep_memory()  # as `llm-build train` does
    compute = Compute.choose(device)
    kind, shape = compute.device.type, SHAPES[compute.device.type]
    ours, bare = (_loop(compute, folder, shape, bare=each) for each in (False, True))
    _refuse_difference(ours, bare, TOLERANCE[kind])  # the warm-up, too
    repeats = [[(turn(ours, TURN[kind]), turn(bare, TURN[kind])) for _ in range(TURNS[kind])] for _ in range(REPEATS)]
    print(
        f"\noverhead: dim {shape['dim']}, {shape['layers']} layers, {shape['rows']} × {shape['context']} tokens, "
        f"{compute.described()['dtype']} on {compute.device}, {torch.get_num_threads()} threads; "
        f"{REPEATS} × {TURNS[kind]} turns of {TURN[kind]} steps each, in turn"
    )
    for name, side in (("a step, data drawn and figures logged", 0), ("a step, batches at hand and no logger", 1)):
        show(name, [statistics.median(pair[side] for pair in pairs) for pairs in repeats])
    parts = [beside(ours) for _ in range(5 * REPEATS)]
    show("drawing, moving and logging by themselves", parts)
    ratios = sorted(a / b for pairs in repeats for a, b in pairs)
    print(f"{'ratios of neighbours':<44} quartiles {', '.join(f'{each:.4f}' for each in statistics.quantiles(ratios))}")
    return at_most("logging and data / bare", statistics.median(ratios), BAR)


def _loop(compute: Compute, folder: Path, shape: dict[str, int], *, bare: bool) -> Loop:
    job, trainer = drawn_job(SPEC.format(**shape), compute, folder)
    if bare:
        kind = compute.device.type
        steps = COMPARED + REPEATS * TURNS[kind] * TURN[kind]
        at_hand = AtHand(job, shape["rows"], steps)
        job = attrs.evolve(job, corpus=Corpus(at_hand, job.corpus.held_out, {}))
    else:
        job.log_to(trainer.loggers)
    return Loop(job, trainer.config, trainer.objective, trainer.optimizer, trainer.schedule)


def _refuse_difference(ours: Loop, bare: Loop, tolerance: float) -> None:
    """The first steps of both must have the same losses."""
    for _ in range(COMPARED):
        a, b = (_loss(each) for each in (ours, bare))
        assert abs(a - b) <= tolerance * abs(a), f"the two sides must have the same loss: {a} and {b}"


def _loss(loop: Loop) -> float:
    """Take a step → its loss."""
    found: list[float] = []

    class Ear:
        def log(self, figures: dict[str, float]) -> None:
            found.append(figures["loss"])

    loop.job.loggers.append(Ear())  # type: ignore[arg-type]
    loop.step()
    loop.job.loggers.pop()
    return found[0]


def turn(loop: Loop, steps: int) -> float:
    """Seconds a step, over so many."""
    _wait(loop)
    begun = time.perf_counter()
    for _ in range(steps):
        loop.step()
    _wait(loop)
    return (time.perf_counter() - begun) / steps


def beside(loop: Loop) -> float:
    """Seconds that drawing, counting and moving a batch and logging a line take while nothing else is done."""
    job = loop.job
    _wait(loop)
    begun = time.perf_counter()
    batch = job.corpus.train.batch(loop.done * loop.rows, loop.rows)
    batch.counted()
    batch.map(job.compute.move)
    job.record(step=loop.done, loss=1.2345, nll=1.2345, norm=0.123456789, lr=1e-3, seconds=1.23456789, speed=12345.6789)
    _wait(loop)
    return time.perf_counter() - begun


def _wait(loop: Loop) -> None:
    if loop.job.compute.device.type == "cuda":
        torch.cuda.synchronize()
