"""What the tests of the language read specs with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llm_build import Spec
from llm_build.diagnostics import Diagnostic, Source
from llm_build.resolve import Reading, read, source_of

BLOCK = "block { attention = gqa { heads = 4 }, ffn = swiglu { hidden = 64 } }"


def decoder(fields: str = "", layers: str = f"2 * {BLOCK}", above: str = "") -> str:
    """A small spec: `above` stands before the model, `fields` inside it."""
    body = "\n".join(f"  {each}" for each in [*SIZES, f"layers = {layers}", "norm = rms", *fields.splitlines()])
    return f"llm 1\n{above}\nmodel = decoder {{\n{body}\n}}\n"


SIZES = ["dim = 32", "vocab = 64", "context = 16"]


def reading(spec: str | Path, settings: Sequence[str] = ()) -> Reading:
    return read(source_of(spec) if isinstance(spec, Path) else Source("t.llm", spec), settings)


def faults(spec: str | Path, settings: Sequence[str] = ()) -> list[Diagnostic]:
    return list(reading(spec, settings).errors)


def fault(spec: str | Path, settings: Sequence[str] = ()) -> Diagnostic:
    """The one fault of a spec."""
    (found,) = faults(spec, settings)
    return found


def filled(spec: str | Path, settings: Sequence[str] = ()) -> Spec:
    """A spec without faults, filled."""
    result = reading(spec, settings)
    assert result.filled is not None, "\n".join(map(str, result.diagnostics))
    assert not result.errors, "\n".join(map(str, result.errors))
    return result.filled


def pointed(diagnostic: Diagnostic) -> str:
    """The text that a diagnostic points at."""
    assert diagnostic.span is not None
    return diagnostic.span.source.text[diagnostic.span.start : diagnostic.span.end]
