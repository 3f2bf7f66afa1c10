"""The rows of an explanation: each component, field and param, in the order of the spec."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

import attrs

from llm_build.components import FieldSpec, PartKind, PartsKind
from llm_build.explain.paths import Field, Selected, find, read_path, runs, unknown_name
from llm_build.explain.steps import Sources, Step
from llm_build.language.scope import Binding
from llm_build.language.values import Mark
from llm_build.resolve.reading import Reading
from llm_build.resolve.trace import Part, Tracer


class Unknown(Enum):
    UNKNOWN = "?"


UNKNOWN: Final = Unknown.UNKNOWN
"""Stands for a value that is faulty, or needs what is."""


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Row:
    """One value. `name` is the last part of `path`; `spec` is None for a let or param.

    `like` is the path of the component that this one equals, whose rows stand there alone. `asked` marks what the path
    led to, and not what lies inside it.
    """

    path: str
    name: str
    depth: int
    value: Any
    steps: list[Step]
    spec: FieldSpec | None = None
    like: str = ""
    asked: bool = False


@attrs.frozen(eq=False, repr=False)
class Explanation:
    """What is explained of a reading: all of it, or what `path` leads to."""

    reading: Reading
    path: str
    rows: list[Row]
    sources: Sources


def explain(reading: Reading, path: str = "") -> Explanation:
    """Explain a spec, or what a path in it leads to. Raises `SpecError` where that leads nowhere."""
    sources = Sources(Tracer(reading))
    rows = _Rows(sources)
    return Explanation(reading, path, list(rows.at(read_path(path)) if path else rows.all()), sources)


class _Rows:
    def __init__(self, sources: Sources) -> None:
        self.sources, self.tracer = sources, sources.tracer
        # a component with others inside is shown once
        self._shown: dict[int, str] = {}

    def all(self) -> Iterator[Row]:
        """The params, then the whole resolved spec."""
        for bindings in self.sources.reading.evaluated.evaluator.params.values():
            yield self._binding(bindings[-1])
        yield from self._fields(self.tracer.root(), "", 0)

    def at(self, steps: list[Selected]) -> Iterator[Row]:
        """What a path leads to; for a component, its fields too."""
        root = self.tracer.root()
        if steps[0].name not in root.specs:
            yield self._named(steps)
            return
        for label, found in runs(find(self.tracer, steps)):
            yield from (
                self._field(found, label, 0, asked=True)
                if isinstance(found, Field)
                else self._part(found, label, label, 0, asked=True)
            )

    def _named(self, steps: list[Selected]) -> Row:
        """A let or param by its name; the last definition of a param, which is the one that holds."""
        bindings = {each.node.name: each for each in self.sources.bindings}
        if steps[0].name not in bindings or len(steps) > 1 or steps[0].layers:
            raise unknown_name(steps[0], [*self.tracer.root().specs, *bindings])
        return attrs.evolve(self._binding(bindings[steps[0].name]), asked=True)

    def _binding(self, binding: Binding) -> Row:
        data = binding.value.data if binding.value else Mark.FAULTY
        value = UNKNOWN if data is Mark.FAULTY else data
        name, steps = binding.node.name, list(self.sources.binding(binding))
        return Row(path=name, name=name, depth=0, value=value, steps=steps)

    def _fields(self, part: Part, path: str, depth: int) -> Iterator[Row]:
        for name, spec in part.specs.items():
            label = f"{path}.{name}".lstrip(".")
            origin = part.origins.get(name)
            inner = () if origin and origin.kind == "inherited" else self.tracer.inside(part, name)
            if not isinstance(spec.kind, PartKind | PartsKind) or not inner:
                yield from self._field(Field(part, name), label, depth)
            for run, found in runs(inner):
                step = run.rpartition(".")[2]
                yield from self._part(_part(found), f"{path}.{step}".lstrip("."), step, depth)

    def _field(self, field: Field, path: str, depth: int, *, asked: bool = False) -> Iterator[Row]:
        part, name = field.part, field.name
        steps, value = self.sources.of(part, name), part.values.get(name, UNKNOWN)
        yield Row(path=path, name=name, depth=depth, value=value, steps=steps, spec=part.specs[name], asked=asked)

    def _part(self, part: Part, path: str, name: str, depth: int, *, asked: bool = False) -> Iterator[Row]:
        assert part.holder is not None
        spec, steps = part.holder.specs[part.path[-1][0]], self.sources.of_part(part)
        like = self._shown.get(part.key, "")
        row = Row(path=path, name=name, depth=depth, value=part.config, steps=steps, spec=spec, like=like, asked=asked)
        yield row
        if like:
            return
        if any(self.tracer.inside(part, each) for each in part.specs):
            self._shown[part.key] = path
        yield from self._fields(part, path, depth + 1)


def _part(found: Part | Field) -> Part:
    assert isinstance(found, Part)
    return found
