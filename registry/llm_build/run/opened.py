"""`open_run`: a run directory as a model that writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from llm_build.assemble import build, quantised
from llm_build.checkpoint import load_weights
from llm_build.components import Config
from llm_build.context import Context
from llm_build.errors import GenerationError, RunError
from llm_build.interfaces import Generator, Piece, Session, Tokenizer, reads_source, serves
from llm_build.progress import Progress
from llm_build.resolve import load, resolve
from llm_build.run.checkpoints import Checkpoint
from llm_build.run.completion import complete, shown
from llm_build.run.compute import Compute
from llm_build.run.directory import RunDirectory
from llm_build.run.evaluation import Evaluation, evaluate
from llm_build.run.requirements import refuse_missing


@attrs.frozen(kw_only=True, eq=False)
class Run:
    """A model with its tokenizer, ready to write. `config` is its spec."""

    config: Any
    model: Any = attrs.field(repr=False)
    tokenizer: Tokenizer = attrs.field(repr=False)
    generator: Generator | None = attrs.field(default=None, repr=False)
    compute: Compute
    directory: RunDirectory

    def generate(self, prompt: str | None = None, *, max_new: int | None = None, seed: int | None = None) -> str:
        """The prompt with what the model writes after it; None is the prompt of the spec.

        A model that reads a source is given the prompt as that, and what it writes is returned alone. Raises
        `GenerationError` where the spec has no generator or the prompt does not fit into the context.
        """
        return self.generate_batch([prompt], max_new=max_new, seed=seed)[0]

    def generate_batch(
        self, prompts: Sequence[str | None], *, max_new: int | None = None, seed: int | None = None
    ) -> list[str]:
        """The same for several prompts at once: row r is drawn with seed + r, whatever its neighbours are."""
        generator, chosen = self._writer(), self.compute.seed if seed is None else seed
        texts = self._prompts(prompts)
        return complete(generator, self.model, self.tokenizer, texts, max_new=max_new, seed=chosen)

    def stream(
        self, prompts: Sequence[str | None], *, max_new: int | None = None, seed: int | None = None
    ) -> Iterator[Piece]:
        """What the model writes, piece by piece as it comes, without the prompts."""
        generator, chosen = self._writer(), self.compute.seed if seed is None else seed
        return generator.generate(self.model, self.tokenizer, self._prompts(prompts), max_new=max_new, seed=chosen)

    def open(self, *, rows: int | None = None, capacity: int | None = None) -> Session:
        """Room for `rows` texts at a time of at most `capacity` tokens; `submit` to it as requests come.

        None: as many as the generator has rows, or fewer where the device has not that much memory, and the model's
        context. Raises `GenerationError` where the spec's generator takes no requests, and with the figures where the
        device has less than is asked for.
        """
        generator = self._writer()
        if not serves(generator):
            raise GenerationError(
                f"the generator of {self.directory.path} takes no requests as they come: --set generate=decode"
            )
        return generator.open(self.model, self.tokenizer, rows=rows, capacity=capacity)

    def submit(
        self, prompt: str | None = None, *, max_new: int | None = None, seed: int | None = None
    ) -> Iterator[Piece]:
        """What the model writes after a prompt, piece by piece, beside whatever else was submitted.

        Streams may be taken in any order, and one that is closed early gives its room back. There is room for texts as
        long as the model's context, as many as the generator has rows or the device has memory for; `open` makes other
        room.
        """
        (text,), chosen = self._prompts([prompt]), self.compute.seed if seed is None else seed
        return self.open().submit(text, max_new=max_new, seed=chosen)

    def evaluate(self, data: Config | None = None, *, progress: Progress | None = None) -> Evaluation:
        """Measure the model on what the data of its spec holds out, or on all of `data`, held out there or not.

        The figures are those of the end of training where the weights are as wide as they were then (`open_run` with
        `narrow=False`). Raises `SpecError` for data that does not suit the model, `DataError` where there is none or it
        cannot be read.
        """
        return evaluate(self.config, self.model, self.tokenizer, self.compute, data, progress)

    def quantised(self) -> Run:
        """This run with the weights that write, as the quantiser of its spec's generator makes them.

        Raises `GenerationError` where it has none.
        """
        made = quantised(resolve(self.config, Context()), self.model)
        if made is self.model:
            raise GenerationError(f"the spec of {self.directory.path} quantises nothing: --set generate.quantizer=int8")
        return attrs.evolve(self, model=made)

    @property
    def prompt(self) -> str:
        """What is continued where no prompt is given."""
        return self._writer().prompt

    def shown(self, prompts: Sequence[str | None], texts: Sequence[str]) -> list[str]:
        """Texts for a person to read: what was made of a source stands behind it."""
        return shown(self.model, self._prompts(prompts), texts)

    @property
    def reads_source(self) -> bool:
        """Whether a prompt is a source that the model reads, and no part of the text."""
        return reads_source(self.model)

    def _writer(self) -> Generator:
        if self.generator is None:
            raise GenerationError(f"the spec of {self.directory.path} says not how to write: --set generate=decode")
        return self.generator

    def _prompts(self, prompts: Sequence[str | None]) -> list[str]:
        return [self._writer().prompt if each is None else each for each in prompts]


def open_run(
    directory: str | Path,
    *,
    checkpoint: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    seed: int = 0,
    config: Config | None = None,
    narrow: bool = True,
) -> Run:
    """The run in a directory: the spec (or `config` in its place), weights and tokenizer of its best checkpoint.

    `checkpoint` names another one, as "step-000600". `narrow`: the weights take the dtype of the products, with which
    writing is fastest; otherwise they are as wide as in training. Raises `RunError` where the directory is missing, the
    checkpoint is missing or damaged, a component of its spec is not installed, or the weights are of another model.
    """
    place = RunDirectory.existing(directory)
    taken = place.checkpoints.take(checkpoint)
    if config is None:
        refuse_missing(taken.versions)
    return open_checkpoint(place, taken, device=device, dtype=dtype, seed=seed, config=config, narrow=narrow)


def open_checkpoint(
    place: RunDirectory,
    checkpoint: Checkpoint,
    *,
    device: str = "auto",
    dtype: str = "auto",
    seed: int = 0,
    config: Config | None = None,
    narrow: bool = True,
) -> Run:
    """What `open_run` does with a checkpoint that was found to be whole."""
    compute = Compute.choose(device, dtype, seed)
    spec: Any = config if config is not None else load(checkpoint.spec)
    filled: Any = resolve(spec, Context())
    tokenizer = filled.part("tokenizer", Context())
    tokenizer.load(checkpoint.tokenizer)
    model = build(filled, device=compute.device, dtype=compute.dtype if narrow else compute.weights, seed=seed)
    if tokenizer.vocab_size > model.vocab:
        raise RunError(
            f"the model's vocab must hold the tokenizer's {tokenizer.vocab_size:_} entries; it is {model.vocab:_}: "
            f"{checkpoint.tokenizer} is not the one that this model was trained with"
        )
    load_weights(model, checkpoint.weights)
    model.eval()
    generator = filled.part("generate", Context())
    return Run(config=spec, model=model, tokenizer=tokenizer, generator=generator, compute=compute, directory=place)
