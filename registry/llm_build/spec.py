"""The root of a spec: a config whose fields are the root fields of a `.llm` file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llm_build.components import Config, ManyKind, PathKind, Problem, can, component, field_specs, part
from llm_build.context import Context
from llm_build.language.values import FAULTY


@component("spec:spec", module="llm_build.assemble:build")
class Spec(Config):
    """What a `.llm` file says. Each field is optional here; a verb asks for those that it needs."""

    tokenizer: Any = part("tokenizer", default=None, optional=True, doc="text to tokens and back")
    model: Any = part("model", doc="the model")
    data: Any = part("data", default=None, optional=True, doc="what the model learns from")
    train: Any = part("trainer", default=None, optional=True, doc="how it learns")
    generate: Any = part("generator", default=None, optional=True, doc="how it writes")

    def inside(self, field: str, context: Context) -> Context:
        if field == "model":
            owners = {**context.owners, "vocab": "tokenizer"}
            untold = {"vocab": told} if (told := _unread(self.tokenizer, context)) else {}
            return context.with_(vocab=vocab_of(self.tokenizer, context), owners=owners, untold=untold)
        if field in {"train", "generate"}:
            inner = context.with_(
                context=getattr(self.model, "context", None), vocab=getattr(self.model, "vocab", None)
            )
            return inner.with_(paired=is_paired(self.data))
        return context

    def check_vocab(self, context: Context) -> Iterator[Problem]:
        entries, rows = vocab_of(self.tokenizer, context), getattr(self.model, "vocab", None)
        if entries is not None and rows is not None and rows < entries:
            yield Problem(
                field="model.vocab",
                message=f"the model's vocab must hold the tokenizer's {entries:_} entries; it is {rows:_}",
                help=f"leave vocab out, or write vocab = {entries:_} or more",
            )

    def check_data(self, context: Context) -> Iterator[Problem]:
        if self.data is None or is_paired(self.data) == can(self.model, "encoder"):
            return
        if is_paired(self.data):
            yield Problem(
                field="data",
                message="pairs need a model that reads a source before it writes; this one continues text",
                help="write model = encoder_decoder { … }, or data = files { … }",
            )
            return
        yield Problem(
            field="data",
            message="this model reads a source before it writes, so it learns from pairs; this data is plain text",
            help="write data = pairs { … }",
        )


def is_paired(data: Any) -> bool:
    """Whether a data config promises pairs of a source and a target."""
    paired = getattr(data, "paired", None)
    return bool(paired()) if callable(paired) else False


def vocab_of(tokenizer: Any, context: Context) -> Any:
    """The number of entries that a tokenizer's config promises, or None where only its file knows.

    One that names a file which must not be read here is not asked.
    """
    if tokenizer is FAULTY:
        return FAULTY
    size = getattr(tokenizer, "vocab_size", None)
    return size() if callable(size) and not _unread(tokenizer, context) else None


def _unread(tokenizer: Any, context: Context) -> tuple[str, str] | None:
    """Why a file of a tokenizer must not be read here, and what to do; None where nothing stands against it."""
    file = next((each for each in _files(tokenizer) if not context.may_read(each)), None)
    if file is None:
        return None
    folder = Path(context.project or "").name
    said = f"the tokenizer's file {file} lies outside the project {folder!r}, so it stays unread"
    return said, "or copy the file into the project and name it there"


def _files(config: Any) -> Iterator[str]:
    """The paths that a config names."""
    for name, spec in field_specs(config).items() if isinstance(config, Config) else ():
        value = getattr(config, name)
        if isinstance(spec.kind, PathKind) and value is not None:
            yield value
        if isinstance(spec.kind, ManyKind) and isinstance(spec.kind.of, PathKind):
            yield from value or ()
