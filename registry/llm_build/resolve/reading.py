"""The one path from a spec to a checked config: evaluate, lower, fill, and put every fault at its place in the text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from llm_build.components import Config, Problem, field_specs
from llm_build.context import Context
from llm_build.diagnostics import Diagnostic, Related, Severity, Source
from llm_build.errors import SpecError
from llm_build.language.evaluator import Evaluated, evaluate
from llm_build.language.files import read_source
from llm_build.language.scope import Binding
from llm_build.language.writer import write_spec
from llm_build.registry import Registry, installed
from llm_build.resolve.fill import Fault, Filler
from llm_build.resolve.lower import Lowering
from llm_build.resolve.raising import raised
from llm_build.resolve.requires import Measure, check_requires
from llm_build.spec import Spec

USES_SHOWN = 3


@attrs.frozen(eq=False, repr=False)
class Reading:
    """A spec that was read: what it states, the same filled (None where there are faults), and all there is to say."""

    source: Source
    config: Spec
    filled: Spec | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(each for each in self.diagnostics if each.severity is Severity.ERROR)


def read(source: Source, settings: Sequence[str] = (), *, measure: Measure | None = None) -> Reading:
    """Read a spec and find every fault in it. `settings` are "path=expression"; `measure` decides `params(…)` and so on."""
    registry = installed()
    evaluated = evaluate(source, settings)
    lowering = Lowering(registry)
    config = lowering.root(evaluated.root)
    if not evaluated.complete:
        return Reading(source, config, None, _ordered(evaluated.faults, evaluated.bindings))  # type: ignore[arg-type]
    for binding in evaluated.bindings:
        lowering.check_let(binding)
    filler = Filler(registry)
    filled = filler.fill(config, Context())
    found = [*evaluated.faults, *lowering.faults, *(_placed(each, lowering, filler) for each in filler.faults)]
    if filled is not None and not any(each.severity is Severity.ERROR for each in found):
        found += check_requires(evaluated, filled, filler.contexts, measure)
    return Reading(source, config, filled, _ordered(found, evaluated.bindings))  # type: ignore[arg-type]


def load(path_or_text: str | Path, settings: Sequence[str] = ()) -> Spec:
    """The config of a spec, given as a path or as text (text has more than one line or begins with `llm `).

    Raises `SpecError` with every fault. What the config does not state is not filled in: `resolve` does that.
    """
    reading = read(source_of(path_or_text), settings)
    if reading.errors:
        raise SpecError(reading.errors)
    return reading.config


def source_of(path_or_text: str | Path) -> Source:
    """A spec's text, whether it is given or in a file."""
    if isinstance(path_or_text, str) and ("\n" in path_or_text or path_or_text.startswith("llm ")):
        return Source("<text>", path_or_text)
    return read_source(path_or_text)


def resolve(config: Config, context: Context | None = None, registry: Registry | None = None) -> Config:
    """A filled copy of a config in a context: every field has its value. Raises `SpecError` with every fault."""
    filler = Filler(registry or installed())
    filled = filler.fill(config, context or Context())
    if filled is None or filler.faults:
        raise SpecError([_unplaced(each) for each in filler.faults])
    return filled


def problems(config: Config, context: Context) -> list[Problem]:
    """Every problem of a config and of its parts in a context."""
    filler = Filler(installed())
    filler.fill(config, context)
    return [each.problem for each in filler.faults]


def write(config: Config) -> str:
    """A config as the text of a spec: `load(write(config)) == config`.

    A config other than a whole `Spec` must be a model; it is written as the spec of that model.
    """
    return write_spec(raised(config if isinstance(config, Spec) else Spec(model=config)))


# --- the place of a fault ---


def _unplaced(fault: Fault) -> Diagnostic:
    problem = fault.problem
    path = f"{fault.path}.{problem.field}".strip(".")
    return Diagnostic(code=problem.code, message=problem.message, path=path, help=problem.help)


def _placed(fault: Fault, lowering: Lowering, filler: Filler) -> Diagnostic:
    """A fault of a config, with the span of the field at fault, or of the nearest thing around it that was written."""
    plain = _unplaced(fault)
    config, path = fault.config, fault.path
    while id(config) not in lowering.places and path:
        path = path.rpartition(".")[0]
        config = filler.paths.get(path, config)
    place = lowering.places.get(id(config))
    if place is None:
        return plain
    setting = place.fields.get(fault.problem.field) if config is fault.config else None
    span = setting.value.span if setting else place.span
    related = [*(setting.value.related if setting else ()), *_explained(fault, lowering, filler)]
    return attrs.evolve(plain, span=span, related=tuple(related))


def _explained(fault: Fault, lowering: Lowering, filler: Filler) -> Iterable[Related]:
    """Where the other fields that a problem names were set, in the component itself or further out."""
    for name in fault.problem.related:
        own = name in field_specs(fault.config)
        config = fault.config if own else filler.paths.get(fault.context.owners.get(name, ""))
        place = lowering.places.get(id(config))
        if place and name in place.fields:
            yield Related(f"`{name}` set here", place.fields[name].value.span)


def _ordered(found: Iterable[Diagnostic], bindings: Iterable[Binding]) -> tuple[Diagnostic, ...]:
    """Each fault once, in the order of the text; one inside a let names the places where the let is used."""
    unique: dict[object, Diagnostic] = {}
    for each in found:
        unique.setdefault((each.code, each.span, each.message), each)
    placed = [_with_uses(each, bindings) for each in unique.values()]
    return tuple(sorted(placed, key=lambda each: (each.span.source.name, each.span.start) if each.span else ("", -1)))


def _with_uses(diagnostic: Diagnostic, bindings: Iterable[Binding]) -> Diagnostic:
    span = diagnostic.span
    if span is None:
        return diagnostic
    for binding in bindings:
        inside = binding.extent.source is span.source and binding.extent.start <= span.start < binding.extent.end
        if inside and not binding.is_param:
            uses = dict.fromkeys(use for use in binding.uses)
            related = tuple(Related("used here", use) for use in list(uses)[:USES_SHOWN])
            return attrs.evolve(diagnostic, related=(*diagnostic.related, *related))
    return diagnostic


__all__ = ["Evaluated", "Reading", "load", "problems", "read", "resolve", "source_of", "write"]
