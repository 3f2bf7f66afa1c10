"""`train`: from a spec to a run directory, or on from where one stopped."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs

from llm_build.components import Config
from llm_build.context import Context
from llm_build.errors import RunError
from llm_build.progress import Progress, Silence
from llm_build.resolve import resolve
from llm_build.run.completion import shown, usual_prompts
from llm_build.run.compute import Compute
from llm_build.run.curve import draw_curve
from llm_build.run.directory import RunDirectory
from llm_build.run.job import Job, Outcome
from llm_build.run.opened import Run
from llm_build.run.origin import Origin
from llm_build.run.preparing import Preparing, refuse_missing_fields
from llm_build.run.randomness import seeded
from llm_build.run.resumed import Resumed
from llm_build.run.stopping import heeded


@attrs.frozen(kw_only=True)
class Trained:
    """A finished run: what came of it, what xz needs for the same held-out bytes, and the run, ready to write.

    `sources` are the held-out ones, for a model that reads a source; `curve` says where the loss curve lies.
    """

    outcome: Outcome
    xz_bits: float
    run: Run
    curve: str
    sources: Sequence[str] = attrs.field(default=(), repr=False)

    def samples(self, count: int, prompt: str | None = None, max_new: int | None = None) -> list[str]:
        """Texts for a person to read, kept in samples.txt too: all after `prompt`, or after what the spec says.

        Without either, a model that reads a source is given held-out ones. Text n is drawn with the seed plus n - 1.
        """
        run = self.run
        if run.generator is None or count == 0:
            return []
        prompts = usual_prompts(run.generator, run.model, self.sources, count) if prompt is None else [prompt] * count
        texts = shown(run.model, prompts, run.generate_batch(prompts, max_new=max_new))
        run.directory.add_samples(self.outcome.best_step, texts)
        return texts


def train(
    config: Config,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    checkpoint: str | None = None,
    init: str | Path | None = None,
    name: str = "run",
    source: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    seed: int | None = None,
    progress: Progress | None = None,
    prompts: Sequence[str] = (),
) -> Trained:
    """Train the model of a spec and leave a run directory: `out`, or else `runs/<name>-<number>`.

    `resume` goes on with the run in `out` from its last checkpoint, or the one that `checkpoint` names, as if it had
    never stopped; config, text, dtype and seed have to be those of the run. `init` is a run to start from, or one of
    its checkpoints: its weights, and its tokenizer, which learns nothing more. `source` is the text that the spec was
    written as; `prompts` will be continued afterwards, and one that does not fit is refused now. The seed is 0 unless
    stated.

    The first SIGINT or SIGTERM lets the step end, keeps a checkpoint and raises `Stopped`, a KeyboardInterrupt; a
    second one ends the process. Raises `SpecError`, `DataError`, `RunError` and `TrainingError`; nothing is written
    before the spec, the data and `init` are found to be right.
    """
    filled: Any = resolve(config, Context())
    refuse_missing_fields(filled)
    trainer: Any = filled.part("train", Context())  # it says what is missing, such as a library, before data is read
    watcher = progress or Silence()
    with ExitStack() as held:
        resumed = _resumed(out, checkpoint, filled, held) if _wants_resume(resume, checkpoint, init, out) else None
        compute = resumed.compute(device, dtype, seed) if resumed else Compute.choose(device, dtype, seed or 0)
        preparing = Preparing(
            config=config,
            filled=filled,
            source=source,
            compute=compute,
            origin=None if init is None else Origin.of(init, filled),
            resumed=resumed,
            progress=watcher,
        )

        def claim() -> RunDirectory:
            made = RunDirectory.next_free("runs", name) if out is None else RunDirectory.create(out)
            held.enter_context(made.locked())
            return made

        try:
            job = preparing.job(claim, prompts)
            outcome = _train(trainer, job)
        finally:
            watcher.end()
    return _trained(outcome, job, preparing.config)


def _wants_resume(resume: bool, checkpoint: str | None, init: object, out: object) -> bool:
    if resume and init is not None:
        raise RunError("a run goes on from its own checkpoint, or starts from another run: leave resume or init out")
    if resume and out is None:
        raise RunError("resume needs the run to go on with: give its directory as out")
    if checkpoint is not None and not resume:
        raise RunError("checkpoint says where to go on from: give resume too, or init=RUN/checkpoints/NAME")
    return resume


def _resumed(out: str | Path | None, checkpoint: str | None, filled: Any, held: ExitStack) -> Resumed:
    assert out is not None, "_wants_resume raises without one"
    directory = RunDirectory.existing(out)
    held.enter_context(directory.locked())
    return Resumed.of(directory, checkpoint, filled)


def _train(trainer: Any, job: Job) -> Outcome:
    try:
        with seeded(job.compute.seed, job.compute.device), heeded(job.progress, job.stop):
            outcome: Outcome = trainer.train(job)
    finally:
        for each in job.loggers:
            each.end()
    return outcome


def _trained(outcome: Outcome, job: Job, config: Config) -> Trained:
    job.model.eval()
    run = Run(
        config=config,
        model=job.model,
        tokenizer=job.tokenizer,
        generator=job.generator,
        compute=job.compute,
        directory=job.directory,
    )
    held_out = job.corpus.held_out
    return Trained(
        outcome=outcome,
        xz_bits=held_out.xz_bits(),
        run=run,
        curve=draw_curve(job.directory),
        sources=held_out.sources,
    )
