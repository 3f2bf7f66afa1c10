"""The training of a spec, rehearsed for two steps without numbers: what memory will it take?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from llm_build.assemble import outline
from llm_build.components import can
from llm_build.context import Context
from llm_build.corpus import Batch, Corpus, Example
from llm_build.cost import Allocations, Enough, Unmeasured, copies, first_line, shortened
from llm_build.errors import LLMBuildError
from llm_build.interfaces import Logger
from llm_build.run.compute import Compute
from llm_build.run.directory import RunDirectory
from llm_build.run.job import Job
from llm_build.spec import Spec

STEPS = 2
"""After the first there is what the optimiser keeps; the second has all."""
EXAMPLES = 2**31
DRAWS = 10_000
"""A trainer that has drawn so often and recorded no second step is stopped."""
FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LLMBuildError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


@attrs.frozen(eq=False)
class Blank:
    """Text of no words, to train on and to hold out: windows, or pairs whose sides are, all as long as the context."""

    context: int
    paired: bool
    count: int = EXAMPLES
    targets: int = EXAMPLES
    size: int = EXAMPLES
    texts: Sequence[str] = ()
    sources: Sequence[str] = ()
    _draws: list[int] = attrs.field(factory=list, init=False)

    def draw(self, position: int, rows: int) -> Sequence[Example]:
        row = np.zeros(self.context + 1, dtype=np.uint32)
        return [Example(row, row[1:] if self.paired else None)] * rows

    def batch(self, position: int, rows: int) -> Batch:
        self._draws.append(position)
        if len(self._draws) > DRAWS:
            raise Unmeasured(f"its trainer drew {DRAWS:_} batches and recorded no second step")
        return self._batch(rows)

    def batches(self, at_once: int, limit: int | None = None) -> Iterator[Batch]:
        most = at_once if limit is None else min(at_once, limit)
        yield self._batch(max(1, most // self.context // (2 if self.paired else 1)))

    def xz_bits(self) -> float:
        return 1.0

    def _batch(self, rows: int) -> Batch:
        tokens, targets, source = (torch.zeros(rows, self.context, dtype=torch.int64) for _ in range(3))
        if not self.paired:
            return Batch(tokens=tokens, targets=targets)
        count, source_count = (torch.full((rows,), self.context) for _ in range(2))
        return Batch(tokens=tokens, targets=targets, count=count, source=source, source_count=source_count)


@attrs.frozen(kw_only=True, eq=False)
class Rehearsal(Job):
    """A job of which nothing stays. The held-out loss is taken after the first step, and the second is the last."""

    seen: Allocations
    _steps: set[float] = attrs.field(factory=set, init=False)

    def record(self, **figures: float) -> None:
        if self.seen.steps and not self._steps:
            self.measure()
        self._steps.add(figures["step"])
        if len(self._steps) == STEPS:
            raise Enough

    def log_to(self, loggers: Sequence[Logger]) -> None:
        """Log nothing."""

    def keep(self, step: int, held_out_nats: float | None, state: Any) -> None:
        """Keep nothing."""

    @property
    def best_step(self) -> int:
        return 0

    def restore(self) -> None:
        """Take nothing back."""

    def sample(self, step: int, count: int, max_new: int) -> Sequence[str]:
        return []


def rehearse(spec: Spec, compute: Compute) -> Allocations:
    """What a filled spec's training allocates on the device: two steps of its own trainer, and a held-out loss.

    A trainer's config may have a method `rehearsed(context)`: itself cut down to what takes as much. Long runs of equal
    layers are shortened, and one stands for many. Raises `Unmeasured` where something cannot go without numbers.
    """
    short, runs = shortened(spec.model)
    seen = Allocations(compute.device)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), seen, tempfile.TemporaryDirectory() as folder:
            model = outline(spec.changed(model=short), compute.device, compute.weights)
            of = copies(model, short, runs)
            if of is None:
                model, of = outline(spec, compute.device, compute.weights), {}
            with seen.following(model, of):
                _train(spec, model, compute, Path(folder), seen)
    except FAULTS as fault:
        raise Unmeasured(f"a rehearsal of training, without numbers, fails: {first_line(fault)}") from fault
    return seen


def _train(spec: Any, model: Any, compute: Compute, folder: Path, seen: Allocations) -> None:
    text = Blank(model.context, can(spec.model, "encoder"))
    nobody: Any = None  # nothing is read and nothing written
    job = Rehearsal(
        model=model,
        tokenizer=nobody,
        corpus=Corpus(text, text, {}, text.paired),
        compute=compute,
        directory=RunDirectory(folder),
        described={},
        seen=seen,
    )
    context = spec.inside("train", Context()).with_(path="train")
    shorter = getattr(spec.train, "rehearsed", None)
    trainer = spec.changed(train=shorter(context)) if callable(shorter) else spec
    try:
        trainer.part("train", Context()).train(job)
    except Enough:
        return
