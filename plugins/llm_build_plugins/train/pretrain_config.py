"""The config of training on plain text, or on pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from llm_build import Config, Context, Problem, Share, amount, component, number, part, parts, size

REHEARSED = 2


@component("trainer:pretrain", module="llm_build_plugins.train.pretrain_module:Pretrain")
class pretrain(Config):
    """Train on windows of plain text or on pairs, in a drawn order, and keep the weights with the best held-out loss.

    Its length is one of `steps`, `epochs` and `tokens`; its batch one of `batch` (sequences) and `batch_tokens`. Pairs
    have lengths of their own, so there only `steps`, `epochs` and `batch` say something. A batch is what one optimiser
    step sees; `accumulate` only says in how many parts it goes through the model.
    """

    steps: int | None = size(default=None, optional=True, example=1_000, doc="optimiser steps")
    epochs: float | None = number(default=None, above=0, optional=True, doc="passes over the training data")
    tokens: int | None = size(default=None, optional=True, doc="training tokens")
    batch: int | None = size(
        high=2**20,
        default=None,
        optional=True,
        example=16,
        doc="sequences a step: pairs, or texts as long as the model's context",
    )
    batch_tokens: int | None = size(high=2**34, default=None, optional=True, doc="tokens a step")
    accumulate: int = size(default=1, doc="parts that a batch is cut into, one after the other, to save memory")
    objective: Any = part("objective", default="next_token", doc="what is minimised")
    optimizer: Any = part("optimizer", default="adamw", doc="how the weights move")
    schedule: Any = part("schedule", default="warmup_cosine", optional=True, doc="the learning rate over the steps")
    loggers: Any = parts("logger", default="jsonl", optional=True, doc="who writes down the figures of each step")
    clip: float | None = number(default=1.0, above=0, optional=True, doc="largest global norm of the gradient")
    eval_every: int | Share = amount(
        default=Share.percent(10), doc="steps between held-out losses, or their share of all"
    )
    keep_every: int | Share | None = amount(
        default=None, optional=True, doc="steps between further checkpoints; none: one at each held-out loss only"
    )
    eval_tokens: int = size(default=32_768, doc="held-out tokens looked at on the way; at the end it is all of them")
    samples: int = size(low=0, high=1_000, default=1, doc="texts written each time the held-out loss is taken")
    sample_tokens: int = size(default=64, doc="longest of these texts, in tokens")

    def inside(self, field: str, context: Context) -> Context:
        return context.provide(steps=self.length(context)) if field == "schedule" else context

    def length(self, context: Context) -> int | None:
        """The number of optimiser steps, where that is known without the data."""
        if self.steps is not None:
            return self.steps
        sequences = self.sequences(context)
        if context.paired or self.tokens is None or not sequences or context.context is None:
            return None
        return math.ceil(self.tokens / (sequences * context.context))

    def sequences(self, context: Context) -> int | None:
        """Sequences a batch, where that is known."""
        if self.batch is not None or self.batch_tokens is None or context.context is None:
            return self.batch
        return self.batch_tokens // context.context

    def rehearsed(self, context: Context) -> Config:
        """Itself with no more than two parts a batch: a third takes no more memory than the second."""
        sequences = self.sequences(context)
        if self.accumulate <= REHEARSED or sequences is None:
            return self
        rows = sequences // self.accumulate
        return self.changed(batch=REHEARSED * rows, batch_tokens=None, accumulate=REHEARSED)

    def check_length(self, context: Context) -> Iterator[Problem]:
        if context.paired and self.tokens is not None:
            yield _no_length("tokens", "write steps = 1_000, or epochs = 10")
        else:
            among = ("steps", "epochs") if context.paired else ("steps", "epochs", "tokens")
            yield from self._exactly_one(*among, example="steps = 1_000")

    def check_batch(self, context: Context) -> Iterator[Problem]:
        if context.paired and self.batch_tokens is not None:
            yield _no_length("batch_tokens", "write batch = 64, which counts pairs")
        else:
            among = ("batch",) if context.paired else ("batch", "batch_tokens")
            yield from self._exactly_one(*among, example="batch = 8")

    def check_batches(self, context: Context) -> Iterator[Problem]:
        yield from self._whole_batches(context)

    def check_eval(self, context: Context) -> Iterator[Problem]:
        if _is_zero(self.eval_every):
            yield Problem(
                field="eval_every",
                message="eval_every must be at least one step; 0 arrived",
                help="write eval_every = 100% for once, at the end",
            )

    def check_keep(self, context: Context) -> Iterator[Problem]:
        if _is_zero(self.keep_every):
            yield Problem(
                field="keep_every",
                message="keep_every must be at least one step; 0 arrived",
                help="leave it out to keep a checkpoint at each held-out loss only",
            )

    def _exactly_one(self, *fields: str, example: str) -> Iterator[Problem]:
        stated = [each for each in fields if getattr(self, each) is not None]
        if len(stated) == 1:
            return
        names = f"exactly one of {', '.join(fields[:-1])} or {fields[-1]}" if len(fields) > 1 else fields[0]
        yield Problem(
            field=stated[-1] if stated else "",
            message=f"pretrain takes {names}; {' and '.join(stated) or 'none'} arrived",
            help=f"keep one of them, such as {example}" if stated else f"write {example}",
        )

    def _whole_batches(self, context: Context) -> Iterator[Problem]:
        if self.batch_tokens is not None and context.context is not None and self.batch_tokens % context.context:
            below = self.batch_tokens // context.context * context.context
            yield Problem(
                field="batch_tokens",
                message=f"batch_tokens must be a multiple of the context, {context.context}; "
                f"{self.batch_tokens} arrived",
                help=f"write batch_tokens = {below or context.context}",
            )
            return
        sequences = self.sequences(context)
        if sequences is not None and sequences % self.accumulate:
            yield Problem(
                field="accumulate",
                message=f"accumulate must divide the batch of {sequences} sequences; {self.accumulate} arrived",
                help="every part of a batch holds as many sequences as the others",
            )


def _is_zero(every: int | Share | None) -> bool:
    return every == 0 or (isinstance(every, Share) and every.fraction == 0)


def _no_length(field: str, advice: str) -> Problem:
    return Problem(
        field=field,
        message=f"{field} counts tokens of windows as long as the context; pairs have lengths of their own",
        help=advice,
    )
