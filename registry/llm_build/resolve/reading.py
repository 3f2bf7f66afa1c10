"""The one path from a spec to a checked config: evaluate, lower, fill, and put every fault at its place in the text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import attrs

from llm_build.context import Context
from llm_build.diagnostics import Diagnostic, Severity, Source
from llm_build.errors import SpecError
from llm_build.language.doubts import certain
from llm_build.language.evaluator import Evaluated, evaluate
from llm_build.language.files import project_of, read_source
from llm_build.registry import installed
from llm_build.resolve.advice import advice
from llm_build.resolve.fill import Filler
from llm_build.resolve.lower import Lowering
from llm_build.resolve.places import ordered, placed, span_at
from llm_build.resolve.rules import check_rules
from llm_build.spec import Spec

if TYPE_CHECKING:
    from llm_build.resolve.requires import Measure


NEEDS_THE_WHOLE = frozenset({"E210", "E211", "E303"})


@attrs.frozen(eq=False, repr=False)
class Reading:
    """A spec that was read: what it states, the same filled (None where there are faults), and all there is to say.

    `evaluated`, `lowering` and `filler` did the work: they know where each value was written and what it became.
    `context` is that of the root.
    """

    source: Source
    config: Spec
    filled: Spec | None
    diagnostics: tuple[Diagnostic, ...]
    evaluated: Evaluated
    lowering: Lowering
    filler: Filler
    context: Context

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(each for each in self.diagnostics if each.severity is Severity.ERROR)


def read(source: Source, settings: Sequence[str] = (), *, measure: Measure | None = None) -> Reading:
    """Read a spec and find every fault in it. `settings` are "path=expression"; `measure` decides `params(…)`."""
    registry = installed()
    evaluated = evaluate(source, settings)
    lowering, filler = Lowering(registry, evaluated.evaluator.params), Filler(registry)
    config, context = cast("Spec", lowering.root(evaluated.root)), Context(project=str(project_of(source)))
    for binding in evaluated.bindings:
        lowering.check_let(binding)
    if evaluated.complete:
        # what stands in many places may be another thing in each, so filling takes as long as there are places
        filled = None if lowering.too_large else cast("Spec | None", filler.fill(config, context))
        found = [*lowering.faults, *(placed(each, lowering, filler) for each in filler.faults)]
    else:
        # what an unread part would have said is not known: nothing is called missing for it
        filled, found = None, [each for each in lowering.faults if each.code not in NEEDS_THE_WHOLE]
    found = [*evaluated.faults, *certain(found, evaluated.doubts)]
    whole = filled if not _faulty(found) else None
    place = None if whole is None else partial(span_at, whole, lowering=lowering, filler=filler)
    found += certain([placed(each, lowering, filler) for each in filler.warnings], evaluated.doubts)
    if whole is not None:
        # a misspelt use would make the name that was meant look unused
        found += advice(evaluated, registry)
        found += check_rules(whole, registry, place)
    if evaluated.requires:
        from llm_build.resolve.requires import check_requires  # most specs require nothing

        found += certain(check_requires(evaluated, whole, filler.contexts, measure, place), evaluated.doubts)
    if any("allow:" in each.source.text for each in evaluated.evaluator.files):
        from llm_build.resolve.allowed import unsilenced  # most specs silence nothing

        # a comment may be meant for what a fault hides, or for the spec without the settings
        found = unsilenced(found, source, idle=not settings and not _faulty(found))
    said = ordered(found, evaluated.bindings)
    return Reading(source, config, filled, said, evaluated, lowering, filler, context)


def _faulty(found: Sequence[Diagnostic]) -> bool:
    return any(each.severity is Severity.ERROR for each in found)


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
