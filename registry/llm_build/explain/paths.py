"""Paths into a spec, as `--set` takes them: model.layers[3].attention.heads, model.layers[0:3], model.layers.norm."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import attrs

from llm_build.components import PartsKind
from llm_build.diagnostics import Diagnostic, Source, Span
from llm_build.errors import SpecError
from llm_build.language.values import beyond, similar
from llm_build.resolve.trace import Part, Path, Tracer

_STEP = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[([0-9]{1,9})(?::([0-9]{1,9}))?\])?(?:\.(?=.)|\Z)")


@attrs.frozen
class Selected:
    """One name of a path, the layers that it selects, and where it stands in the path."""

    name: str
    layers: tuple[int, int] | None
    span: Span


@attrs.frozen(eq=False, repr=False)
class Field:
    """A field of a component."""

    part: Part
    name: str

    @property
    def path(self) -> Path:
        return (*self.part.path, (self.name, None))


def read_path(text: str) -> list[Selected]:
    """The names of a path. Raises `SpecError` where it is none."""
    source, place, found = Source("PATH", text), 0, list[Selected]()
    while place < len(text) or not found:
        match = _STEP.match(text, place)
        if match is None:
            message = "a path is names with dots between them, and numbers of layers in [ ]"
            raise fault("E101", message, Span(source, place, place + 1), "write model.layers[3].attention.heads")
        name, first, stop = match.groups()
        layers = (int(first), int(stop or int(first) + 1)) if first else None
        found.append(Selected(name, layers, Span(source, place, place + len(match[0].rstrip(".")))))
        place = match.end()
    return found


def find(tracer: Tracer, steps: list[Selected]) -> list[Part | Field]:
    """What a path leads to: components, or fields with a plain value. Raises `SpecError` where it leads nowhere."""
    parts: list[Part] = [tracer.root()]
    for index, step in enumerate(steps):
        last = index == len(steps) - 1
        inner = [each for part in parts for each in _step(tracer, part, step)]
        if not inner and last:
            return [Field(part, step.name) for part in parts]
        if not inner:
            raise fault("E202", f"nothing lies inside `{step.name}`", steps[index + 1].span, f"stop at {step.name}")
        parts = inner
    return list(parts)


def _step(tracer: Tracer, part: Part, step: Selected) -> Iterable[Part]:
    if step.name not in part.specs:
        raise _unknown(part, step)
    if step.layers is None:
        return tracer.inside(part, step.name)
    first, stop = step.layers
    count = _count(part, step.name) if isinstance(part.specs[step.name].kind, PartsKind) else 0
    if not first < stop <= count:
        wrong = beyond(step.name, count, first, stop)
        raise fault(wrong.code, wrong.message, step.span, wrong.help)
    return tracer.inside(part, step.name, step.layers)


def _count(part: Part, name: str) -> int:
    value = part.values.get(name, getattr(part.config, name))
    return len(value) if isinstance(value, tuple) else 0


def _unknown(part: Part, step: Selected) -> SpecError:
    near = similar(step.name, part.specs)
    advice = f"a field with a similar name exists: `{near}`" if near else f"its fields are {', '.join(part.specs)}"
    return fault("E202", f"{part.config.__component__.name} has no field `{step.name}`", step.span, advice)


def unknown_name(step: Selected, names: Sequence[str]) -> SpecError:
    """The fault of a path that begins with no field of a spec and is no let and no param."""
    near = similar(step.name, names)
    advice = f"a similar name is there: `{near}`" if near else f"there are {', '.join(names)}"
    return fault("E202", f"the spec has no field, let or param `{step.name}`", step.span, advice)


def fault(code: str, message: str, span: Span, advice: str) -> SpecError:
    return SpecError([Diagnostic(code=code, message=message, span=span, help=advice)])


def runs(found: Iterable[Part | Field]) -> Iterator[tuple[str, Part | Field]]:
    """Neighbours that are one and the same, as one: the path of all, and the first of them."""
    run: list[Part | Field] = []
    for each in found:
        if run and (_key(each) != _key(run[0]) or not _slice(run[0].path, each.path, len(run))):
            yield _label(run), run[0]
            run = []
        run.append(each)
    if run:
        yield _label(run), run[0]


def _key(each: Part | Field) -> tuple[int, str]:
    return (each.part.key, each.name) if isinstance(each, Field) else (each.key, "")


def _slice(first: Path, path: Path, distance: int) -> int | None:
    """The step in which two paths differ, if it is one alone and as far from the other as that."""
    steps = [place for place, (a, b) in enumerate(zip(first, path, strict=True)) if a != b]
    if len(steps) != 1:
        return None
    (start, stop) = (path_[steps[0]][1] for path_ in (first, path))
    assert start is not None
    assert stop is not None
    return steps[0] + 1 if stop - start == distance else None


def _label(run: list[Part | Field]) -> str:
    differs = _slice(run[0].path, run[-1].path, len(run) - 1) if len(run) > 1 else None
    words = []
    for place, (name, index) in enumerate(run[0].path):
        stop = f":{(index or 0) + len(run)}" if differs == place + 1 else ""
        words.append(name if index is None else f"{name}[{index}{stop}]")
    return ".".join(words)
