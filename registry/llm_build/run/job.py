"""What a trainer is handed, and what it hands back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from llm_build.checkpoint import load_weights, write_weights
from llm_build.corpus import Corpus
from llm_build.errors import RunError
from llm_build.interfaces import Generator, Logger, Tokenizer
from llm_build.progress import Progress, Silence
from llm_build.run.checkpoints import STATE, TENSORS
from llm_build.run.completion import complete, shown, usual_prompts
from llm_build.run.compute import Compute
from llm_build.run.directory import RunDirectory
from llm_build.run.held_out import Measured, measure
from llm_build.run.nested import outlined, write_tensors
from llm_build.run.randomness import random_state, set_random_state
from llm_build.run.stopping import Stop


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of a training run: steps and tokens seen, seconds, and the kept weights' step and held-out loss."""

    steps: int
    tokens: int
    seconds: float
    best_step: int
    held_out: Measured


@attrs.frozen(kw_only=True, eq=False)
class Job:
    """A training run, as its trainer sees it: what to train, on what, and where to leave what comes of it.

    `model` is on the device already, in the dtype of its weights. `generator` is None where the spec has none.
    `described` are the files that every checkpoint holds beside the weights, by name. `stop` is asked when the process
    was told to stop. `kept` is what the job had handed over at the checkpoint that it goes on from, None for a new run.
    """

    model: Any
    tokenizer: Tokenizer
    corpus: Corpus
    compute: Compute
    directory: RunDirectory
    described: Mapping[str, bytes] = attrs.field(repr=False)
    progress: Progress = attrs.field(factory=Silence)
    generator: Generator | None = None
    stop: Stop = attrs.field(factory=Stop)
    kept: Any = attrs.field(default=None, repr=False)
    loggers: list[Logger] = attrs.field(factory=list, init=False)

    @property
    def stopping(self) -> bool:
        """Whether to keep a checkpoint after this step and raise `Stopped`."""
        return self.stop.asked

    def resume(self) -> Any:
        """The state that `keep` was given at the checkpoint to go on from, or None for a run that begins.

        Weights are loaded already; every random source is now as it was then. To be called once all is built.
        """
        if self.kept is None:
            return None
        try:
            set_random_state(self.kept["random"], self.compute.device)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as fault:
            raise RunError(f"the state of training must hold that of all random sources: {fault!r}") from fault
        return self.kept["trainer"]

    def log_to(self, loggers: Sequence[Logger]) -> None:
        """Let these write down the figures; where the run goes on, what was logged after its checkpoint goes.

        Raises `RunError` where one cannot.
        """
        marks = [None] * len(loggers) if self.kept is None else self.kept["loggers"]
        if not isinstance(marks, list) or len(marks) != len(loggers):
            raise RunError(f"the state of training must hold a mark for each of {len(loggers)} loggers; it does not")
        for logger, mark in zip(loggers, marks, strict=True):
            self.loggers.append(logger)
            logger.begin(self.directory.path, mark)

    def record(self, **figures: float) -> None:
        """Figures for the loggers; `step` is one of them."""
        for each in self.loggers:
            each.log(figures)

    def measure(self, limit: int | None = None) -> Measured:
        """The held-out loss, on about `limit` tokens or on all."""
        return measure(self.model, self.corpus.held_out, self.compute, limit)

    def keep(self, step: int, held_out_nats: float | None, state: Any) -> None:
        """Leave a checkpoint of this step, with the held-out loss that says which one is the best.

        `state` is all that the trainer needs to go on, beside the weights and the random sources: tensors, numbers and
        texts in lists, tuples and dicts. Of the checkpoints that are there, the last two and the best stay. Raises
        `RunError` where it cannot be written, `PluginError` for a state of something else.
        """
        whole = {
            "trainer": state,
            "random": random_state(self.compute.device),
            "loggers": [each.mark() for each in self.loggers],
        }
        outline, tensors = outlined(whole)
        writers = {"model.safetensors": partial(write_weights, self.model)}
        writers |= {STATE: partial(_write, outline.encode()), TENSORS: partial(write_tensors, tensors)}
        writers |= {name: partial(_write, content) for name, content in self.described.items()}
        self.directory.checkpoints.save(step, held_out_nats, writers)

    @property
    def best_step(self) -> int:
        """The step of the best checkpoint; 0 without one."""
        best = self.directory.checkpoints.best
        return 0 if best is None else best.step

    def restore(self) -> None:
        """Take the weights of the best checkpoint back into the model."""
        load_weights(self.model, self.directory.checkpoints.take().weights)

    def sample(self, step: int, count: int, max_new: int) -> Sequence[str]:
        """Write a few texts, keep them in samples.txt and show the first; nothing without a generator.

        They begin with the spec's prompt; without one, a model that reads a source is given some that are held out.
        """
        if self.generator is None or count == 0:
            return []
        training = self.model.training
        self.model.eval()
        prompts = usual_prompts(self.generator, self.model, self.corpus.held_out.sources, count)
        written = complete(self.generator, self.model, self.tokenizer, prompts, max_new=max_new, seed=self.compute.seed)
        texts = shown(self.model, prompts, written)
        self.model.train(training)
        self.directory.add_samples(step, texts)
        self.progress.say(f"step {step} writes: {' '.join(texts[0].split())[:100]}")
        return texts


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)
