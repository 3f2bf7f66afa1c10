"""`train`: from a spec to a run directory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import torch

from llm_build.assemble import build
from llm_build.components import UNSET, Config
from llm_build.context import Context
from llm_build.corpus import prepare
from llm_build.errors import GenerationError, TrainingError
from llm_build.interfaces import Tokenizer
from llm_build.progress import Progress, Silence
from llm_build.resolve import resolve
from llm_build.resolve.raising import write
from llm_build.run.compute import Compute
from llm_build.run.curve import draw_curve
from llm_build.run.directory import RunDirectory
from llm_build.run.job import Job, Outcome
from llm_build.run.opened import Run
from llm_build.run.provenance import provenance

NEEDED = {
    "tokenizer": "tokenizer = bpe { vocab = 2_048 }",
    "data": "data = python_stdlib",
    "train": "train = pretrain { … }",
}


@attrs.frozen(kw_only=True)
class Trained:
    """A finished run: what came of it, what xz needs for the same held-out bytes, and the run, ready to write."""

    outcome: Outcome
    xz_bits: float
    run: Run
    curve: str


def train(
    config: Config,
    *,
    out: str | Path | None = None,
    name: str = "run",
    source: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
    prompts: Sequence[str] = (),
) -> Trained:
    """Train the model of a spec and leave a run directory: `out`, or else `runs/<name>-<number>`.

    `source` is the text that the spec was written as; `prompts` will be continued afterwards, and one that does not fit
    is refused now. Raises `SpecError`, `DataError`, `RunError` and `TrainingError`;
    nothing is written before the spec and the data are found to be right.
    """
    filled: Any = resolve(config, Context())
    _refuse_missing(filled)
    config = _stated_vocab(config, filled)
    compute = Compute.choose(device, dtype, seed)
    watcher = progress or Silence()
    tokenizer = filled.part("tokenizer", Context())
    corpus = prepare(filled.part("data", Context()), tokenizer, filled.model.context, seed, progress=watcher)
    trainer, generator = filled.part("train", Context()), filled.part("generate", Context())
    for prompt in [] if generator is None else [generator.prompt, *prompts]:
        _refuse_prompt(prompt, tokenizer, filled.model.context)
    model = build(filled, device=compute.device, dtype=compute.weights, seed=seed)
    _refuse_small_vocab(tokenizer.vocab_size, model.vocab)
    directory = RunDirectory.create(out) if out is not None else RunDirectory.next_free("runs", name)
    _describe(directory, config, filled, source)
    tokenizer.save(directory.tokenizer)
    job = Job(
        model=model,
        tokenizer=tokenizer,
        corpus=corpus,
        compute=compute,
        directory=directory,
        progress=watcher,
        generator=generator,
    )
    outcome = _train(trainer, job)
    model.eval()
    run = Run(
        config=config, model=model, tokenizer=tokenizer, generator=generator, compute=compute, directory=directory
    )
    return Trained(outcome=outcome, xz_bits=corpus.held_out.xz_bits(), run=run, curve=draw_curve(directory))


def _train(trainer: Any, job: Job) -> Outcome:
    devices = [job.compute.device] if job.compute.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(job.compute.seed)  # dropout draws from torch's own source
            outcome: Outcome = trainer.train(job)
    finally:
        job.progress.end()
    return outcome


def _refuse_prompt(prompt: str, tokenizer: Tokenizer, context: int) -> None:
    count = len(tokenizer.encode(prompt))
    if count > context or (count == 0 and tokenizer.eos is None):
        raise GenerationError(
            f"a prompt must hold from 1 to {context} tokens, the model's context; {count} arrived: change the prompt"
        )


def _stated_vocab(config: Any, filled: Any) -> Config:
    """The spec of a run states the size that its tokenizer gave, as the tokenizer's own file may go."""
    stated: Config = config
    if config.model.vocab is UNSET:
        stated = attrs.evolve(config, model=attrs.evolve(config.model, vocab=filled.model.vocab))
    return stated


def _describe(directory: RunDirectory, config: Config, filled: Config, source: str | None) -> None:
    text = write(config)
    directory.spec.write_text(text, encoding="utf-8")
    directory.source.write_text(text if source is None else source, encoding="utf-8")
    directory.versions.write_text(json.dumps(provenance(filled), indent=2) + "\n", encoding="utf-8")


def _refuse_missing(spec: Any) -> None:
    for field, example in NEEDED.items():
        if getattr(spec, field) is None:
            raise TrainingError(f"training needs `{field}` in the spec; there is none: write {example}")


def _refuse_small_vocab(entries: int, rows: int) -> None:
    if entries > rows:
        raise TrainingError(f"the model's vocab must hold the tokenizer's {entries:_} entries; it is {rows:_}")
