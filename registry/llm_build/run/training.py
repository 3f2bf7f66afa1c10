"""`train`: from a spec to a run directory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch

from llm_build.assemble import build
from llm_build.checkpoint import load_weights
from llm_build.components import UNSET, Config, can
from llm_build.context import Context
from llm_build.corpus import prepare
from llm_build.errors import GenerationError, TrainingError
from llm_build.interfaces import Tokenizer
from llm_build.progress import Progress, Silence
from llm_build.resolve import resolve
from llm_build.resolve.raising import write
from llm_build.run.completion import shown, usual_prompts
from llm_build.run.compute import Compute
from llm_build.run.curve import draw_curve
from llm_build.run.directory import RunDirectory
from llm_build.run.job import Job, Outcome
from llm_build.run.opened import Run
from llm_build.run.origin import Origin
from llm_build.run.provenance import provenance

NEEDED = {
    "tokenizer": "tokenizer = bpe { vocab = 2_048 }",
    "data": "data = python_stdlib",
    "train": "train = pretrain { … }",
}


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
    init: str | Path | None = None,
    name: str = "run",
    source: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
    prompts: Sequence[str] = (),
) -> Trained:
    """Train the model of a spec and leave a run directory: `out`, or else `runs/<name>-<number>`.

    `init` is a run to start from, or one of its checkpoints: its weights, and its tokenizer, which learns nothing more.
    `source` is the text that the spec was written as; `prompts` will be continued afterwards, and one that does not fit
    is refused now. Raises `SpecError`, `DataError`, `RunError` and `TrainingError`; nothing is written before the spec,
    the data and `init` are found to be right.
    """
    filled: Any = resolve(config, Context())
    _refuse_missing(filled)
    config = _stated_vocab(config, filled)
    compute = Compute.choose(device, dtype, seed)
    origin = None if init is None else Origin.of(init, filled)

    def claim() -> RunDirectory:
        directory = RunDirectory.create(out) if out is not None else RunDirectory.next_free("runs", name)
        _describe(directory, config, filled, source, origin)
        return directory

    watcher = progress or Silence()
    try:
        job = _job(filled, compute, origin, prompts, watcher, claim)
        outcome = _train(filled.part("train", Context()), job)
    finally:
        watcher.end()
    job.model.eval()
    run = Run(
        config=config,
        model=job.model,
        tokenizer=job.tokenizer,
        generator=job.generator,
        compute=compute,
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


def _job(
    filled: Any,
    compute: Compute,
    origin: Origin | None,
    prompts: Sequence[str],
    progress: Progress,
    claim: Callable[[], RunDirectory],
) -> Job:
    """All that a trainer is handed; the directory is claimed when nothing is left to be refused."""
    tokenizer = filled.part("tokenizer", Context())
    if origin is not None:
        origin.give(tokenizer)
    data, context = filled.part("data", Context()), filled.model.context
    corpus = prepare(data, tokenizer, context, compute.seed, progress=progress)
    generator = filled.part("generate", Context())
    if generator is not None:
        _refuse_prompts(generator.prompt, prompts, tokenizer, filled.model)
    model = build(filled, device=compute.device, dtype=compute.weights, seed=compute.seed)
    _refuse_small_vocab(tokenizer.vocab_size, model.vocab)
    if origin is not None:
        load_weights(model, origin.checkpoint.weights)
    directory = claim()
    tokenizer.save(directory.tokenizer)
    return Job(
        model=model,
        tokenizer=tokenizer,
        corpus=corpus,
        compute=compute,
        directory=directory,
        described={each.name: each.read_bytes() for each in (directory.spec, directory.versions, directory.tokenizer)},
        progress=progress,
        generator=generator,
    )


def _train(trainer: Any, job: Job) -> Outcome:
    devices = [job.compute.device] if job.compute.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(job.compute.seed)  # dropout draws from torch's own source
        outcome: Outcome = trainer.train(job)
    return outcome


def _refuse_prompts(usual: str, stated: Sequence[str], tokenizer: Tokenizer, model: Any) -> None:
    reads_source = can(model, "encoder")
    # an empty prompt is the start of a document; a source has to hold something, and ends with [eos]
    least = 1 if reads_source or tokenizer.eos is None else 0
    most = model.context - int(reads_source)
    for prompt in stated if reads_source and not usual else [usual, *stated]:
        count = len(tokenizer.encode(prompt))
        if not least <= count <= most:
            raise GenerationError(
                f"a prompt must hold from {least} to {most} tokens with a context of {model.context}; {count} arrived: "
                "change the prompt"
            )


def _stated_vocab(config: Any, filled: Any) -> Config:
    """The spec of a run states the size that its tokenizer gave, as the tokenizer's own file may go."""
    stated: Config = config
    if config.model.vocab is UNSET:
        stated = attrs.evolve(config, model=attrs.evolve(config.model, vocab=filled.model.vocab))
    return stated


def _describe(
    directory: RunDirectory, config: Config, filled: Config, source: str | None, origin: Origin | None
) -> None:
    text = write(config)
    directory.spec.write_text(text, encoding="utf-8")
    directory.source.write_text(text if source is None else source, encoding="utf-8")
    directory.versions.write_text(json.dumps(provenance(filled, origin), indent=2) + "\n", encoding="utf-8")


def _refuse_missing(spec: Any) -> None:
    for field, example in NEEDED.items():
        if getattr(spec, field) is None:
            raise TrainingError(f"training needs `{field}` in the spec; there is none: write {example}")


def _refuse_small_vocab(entries: int, rows: int) -> None:
    if entries > rows:
        raise TrainingError(f"the model's vocab must hold the tokenizer's {entries:_} entries; it is {rows:_}")
