"""Where a fault stands in the text, and what stands elsewhere and explains it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from llm_build.components import Config, field_specs
from llm_build.diagnostics import Diagnostic, Related, Source, Span
from llm_build.language.scope import Binding
from llm_build.resolve.fill import Fault, Filler
from llm_build.resolve.lower import Lowering

USES_SHOWN = 3
_STEP = re.compile(r"(\w+)(?:\[(\d+)\])?")


def unplaced(fault: Fault) -> Diagnostic:
    problem = fault.problem
    path = f"{fault.path}.{problem.field}".strip(".")
    return Diagnostic(code=problem.code, message=problem.message, path=path, help=problem.help)


def placed(fault: Fault, lowering: Lowering, filler: Filler) -> Diagnostic:
    """A fault of a config, with the span of the field at fault, or of the nearest thing around it that was written."""
    plain = unplaced(fault)
    inner, _, name = fault.problem.field.rpartition(".")
    path = f"{fault.path}.{inner}".strip(".")
    target = filler.paths.get(path, fault.config) if inner else fault.config
    config = target
    while id(config) not in lowering.places and path:
        path = path.rpartition(".")[0]
        config = filler.paths.get(path, config)
    place = lowering.places.get(id(config))
    if place is None:
        return plain
    setting = place.fields.get(name) if config is target else None
    span = setting.value.span if setting else place.span
    related = [*(setting.value.related if setting else ()), *_explained(fault, lowering, filler)]
    return attrs.evolve(plain, span=span, related=tuple(related))


def span_at(spec: Config, path: str, lowering: Lowering, filler: Filler) -> tuple[Span | None, bool]:
    """The place of what a path names in a filled spec, and whether it is that very thing.

    What was inherited stands where it was stated. What was not written, or is not there, has the place of the nearest
    thing around it that was.
    """
    trail, exact = _trail(spec, path)
    for config, name in reversed(trail):
        place = lowering.places.get(id(filler.stated.get(id(config), config)))
        setting = place.fields.get(name) if place else None
        if setting:
            return setting.value.span, exact
        if place:
            return place.span, exact and not name
        exact = False
    return None, False


def _trail(spec: Config, path: str) -> tuple[list[tuple[Config, str]], bool]:
    """Each component on a path with the field that is taken there, the last one with "" where the path ends at it.

    Beside it, whether all of the path is there.
    """
    held: Any = spec
    trail: list[tuple[Config, str]] = []
    whole = True
    for step in path.split(".") if path else ():
        found = _STEP.fullmatch(step)
        if found is None or not isinstance(held, Config) or found[1] not in field_specs(held):
            whole = False
            break
        trail.append((held, found[1]))
        held = getattr(held, found[1])
        if found[2] is not None:
            whole = isinstance(held, tuple) and int(found[2]) < len(held)
            held = held[int(found[2])] if whole else None
    if isinstance(held, Config):
        trail.append((held, ""))
    return trail, whole


def _explained(fault: Fault, lowering: Lowering, filler: Filler) -> Iterable[Related]:
    """Where the other fields that a problem names were set, in the component itself or further out."""
    for name in fault.problem.related:
        own = name in field_specs(fault.config)
        config = fault.config if own else filler.paths.get(fault.context.owners.get(name, ""))
        place = lowering.places.get(id(config))
        if place and name in place.fields:
            yield Related(f"`{name}` set here", place.fields[name].value.span)


def ordered(found: Iterable[Diagnostic], bindings: Iterable[Binding]) -> tuple[Diagnostic, ...]:
    """Each fault once, in the order of the text; one inside a let names the places where the let is used."""
    unique: dict[object, Diagnostic] = {}
    for each in found:
        unique.setdefault((each.code, each.span, each.message), each)
    lets: dict[Source, list[Binding]] = {}
    for let in sorted(bindings, key=lambda it: it.extent.start):
        if let.uses and not let.is_param:
            lets.setdefault(let.extent.source, []).append(let)
    placed = [_with_uses(each, lets) for each in unique.values()]
    return tuple(sorted(placed, key=lambda each: (each.span.source.name, each.span.start) if each.span else ("", -1)))


def _with_uses(diagnostic: Diagnostic, lets: Mapping[Source, Sequence[Binding]]) -> Diagnostic:
    span = diagnostic.span
    if span is None:
        return diagnostic
    of_source = lets.get(span.source, ())
    index = bisect_right(of_source, span.start, key=lambda it: it.extent.start) - 1
    if index < 0 or span.start >= of_source[index].extent.end:
        return diagnostic
    uses = dict.fromkeys(of_source[index].uses)
    related = tuple(Related("used here", use) for use in list(uses)[:USES_SHOWN])
    return attrs.evolve(diagnostic, related=(*diagnostic.related, *related))
