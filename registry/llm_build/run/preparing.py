"""All that a training run needs, and every refusal, before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from llm_build.assemble import build
from llm_build.checkpoint import load_weights
from llm_build.components import UNSET, Config, can
from llm_build.context import Context
from llm_build.corpus import Contents, Corpus, prepare
from llm_build.errors import GenerationError, TrainingError
from llm_build.interfaces import Tokenizer
from llm_build.progress import Progress
from llm_build.resolve.raising import write
from llm_build.run.checkpoints import Checkpoint
from llm_build.run.compute import Compute
from llm_build.run.directory import RunDirectory
from llm_build.run.job import Job
from llm_build.run.origin import Origin
from llm_build.run.provenance import provenance
from llm_build.run.resumed import Resumed

NEEDED = {
    "tokenizer": "tokenizer = bpe { vocab = 2_048 }",
    "data": "data = python_stdlib",
    "train": "train = pretrain { … }",
}


@attrs.define(kw_only=True)
class Preparing:
    """From a spec to a `Job`, which begins anew, with the weights of `origin`, or where `resumed` was.

    `filled` is the filled `config`; `source` the text that it was written as.
    """

    config: Any
    filled: Any
    source: str | None
    compute: Compute
    origin: Origin | None
    resumed: Resumed | None
    progress: Progress

    def __attrs_post_init__(self) -> None:
        self.config = _stated_vocab(self.config, self.filled)

    def job(self, claim: Callable[[], RunDirectory], prompts: Sequence[str]) -> Job:
        """All that a trainer is handed; a new directory is claimed when nothing is left to be refused."""
        tokenizer, corpus = self._text()
        generator = self.filled.part("generate", Context())
        if generator is not None:
            _refuse_prompts(generator.prompt, prompts, tokenizer, self.filled.model)
        model = build(self.filled, device=self.compute.device, dtype=self.compute.weights, seed=self.compute.seed)
        _refuse_small_vocab(tokenizer.vocab_size, model.vocab)
        start = self.resumed or self.origin
        if start is not None and start.checkpoint is not None:
            load_weights(model, start.checkpoint.weights)
        kept = self.resumed.state() if self.resumed else None
        directory, described = self._placed(claim, tokenizer, self._versions(corpus.contents))
        return Job(
            model=model,
            tokenizer=tokenizer,
            corpus=corpus,
            compute=self.compute,
            directory=directory,
            described=described,
            progress=self.progress,
            generator=generator,
            kept=kept,
        )

    def _text(self) -> tuple[Tokenizer, Corpus]:
        """The tokenizer, with the vocabulary of the run that this goes on with or starts from, and the corpus."""
        tokenizer = self.filled.part("tokenizer", Context())
        start = self.resumed or self.origin
        if start is not None:
            start.give(tokenizer)
        data, context = self.filled.part("data", Context()), self.filled.model.context
        corpus = prepare(data, tokenizer, context, self.compute.seed, progress=self.progress)
        if self.resumed is not None:
            self.resumed.refuse_other_data(corpus.contents)
        return tokenizer, corpus

    def _placed(
        self, claim: Callable[[], RunDirectory], tokenizer: Tokenizer, versions: str
    ) -> tuple[RunDirectory, Mapping[str, bytes]]:
        """Where the run is left, and the files that each of its checkpoints holds beside the weights and the state."""
        if self.resumed is None:
            directory = claim()
            return directory, self._begun(directory, tokenizer, versions)
        directory = self.resumed.directory
        if self.resumed.checkpoint is None:
            self.progress.say(f"{directory.path} has no checkpoint to go on from: it begins anew")
            return directory, self._begun(directory, tokenizer, versions)
        return directory, self._gone_on(directory, self.resumed.checkpoint, versions)

    def _begun(self, directory: RunDirectory, tokenizer: Tokenizer, versions: str) -> dict[str, bytes]:
        """Describe a new run in its directory, spec.llm last → the files that every checkpoint holds too."""
        text = write(self.config)
        directory.versions.write_text(versions, encoding="utf-8")
        directory.source.write_text(text if self.source is None else self.source, encoding="utf-8")
        tokenizer.save(directory.tokenizer)
        directory.spec.write_text(text, encoding="utf-8")
        return {each.name: each.read_bytes() for each in (directory.spec, directory.versions, directory.tokenizer)}

    def _gone_on(self, directory: RunDirectory, checkpoint: Checkpoint, versions: str) -> dict[str, bytes]:
        """Put later checkpoints aside, as they will be made again → the files that every checkpoint holds."""
        for moved in directory.checkpoints.set_aside(checkpoint.manifest.step):
            self.progress.say(f"{moved.stem} lies beyond {checkpoint.path.name}: it is kept as {moved.name}")
        directory.checkpoints.tidy()
        return {
            checkpoint.spec.name: write(self.config).encode(),
            checkpoint.versions.name: versions.encode(),
            checkpoint.tokenizer.name: checkpoint.tokenizer.read_bytes(),
        }

    def _versions(self, contents: Mapping[str, Contents]) -> str:
        init = None if self.origin is None else self.origin.described()
        if self.resumed is not None:
            init = self.resumed.made["init"]
        return json.dumps(provenance(self.filled, self.compute, contents, init), indent=2) + "\n"


def refuse_missing_fields(spec: Any) -> None:
    """Raises `TrainingError` where a filled spec lacks what training needs."""
    for field, example in NEEDED.items():
        if getattr(spec, field) is None:
            raise TrainingError(f"training needs `{field}` in the spec; there is none: write {example}")


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


def _refuse_small_vocab(entries: int, rows: int) -> None:
    if entries > rows:
        raise TrainingError(f"the model's vocab must hold the tokenizer's {entries:_} entries; it is {rows:_}")
