"""Configs drawn from what their fields say of themselves. Small values, so that a failing case is a small one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from llm_build.catalogue.example import usual
from llm_build.components import UNSET, Config, FieldSpec, ManyKind, PartKind, PartsKind, PathKind, Refusal, field_specs
from llm_build.components.kinds import AmountKind, ChoiceKind, FlagKind, Kind, NumberKind, ShareKind, SizeKind
from llm_build.conformance.subject import Subject
from llm_build.context import Context
from llm_build.errors import PluginError, SpecError
from llm_build.language.values import Share
from llm_build.registry import installed
from llm_build.resolve import resolve

Draw = Callable[[st.SearchStrategy[Any]], Any]

TRIES = 8
OFTEN = st.sampled_from((False, True, True, True))
"""Most options are on in most cases: ten of them must tell."""
DEPTH = 2
"""How deep parts are drawn; further in they keep their defaults."""
SIZES = (1, 2, 3, 4, 5, 6, 8)
NUMBERS = (0.5, 1.0, 2.0, 0.25, 0.1, 0.9, 3.0, 1e-3, 10.0, 100.0, 0.0)


def draw_stated(draw: Draw, subject: Subject, folder: Path, *, plain: bool = False) -> Config:
    """One of the specimens of a component's class, or a config drawn field by field, right or wrong.

    A `plain` one states nothing but what must be stated.
    """
    specimens = subject.cls.specimens(folder)
    if specimens:
        return draw(st.sampled_from(list(specimens)))  # type: ignore[no-any-return]
    return _stated(draw, subject.cls, subject, DEPTH if plain else 0)


def draw_config(draw: Draw, subject: Subject, context: Context, folder: Path, *, plain: bool = False) -> Config:
    """The same, right in a context.

    A case in which none is found within a few tries is given up; the last has the examples of the required fields.
    """
    for _ in range(TRIES):
        config = draw_stated(draw, subject, folder, plain=plain)
        if accepted(config, context) is not None:
            return config
    config = _stated(draw, subject.cls, subject, 0, usually=True)
    if accepted(config, context) is not None:
        return config
    assume(False)
    raise AssertionError("assume gives up the case")


def accepted(config: Config, context: Context) -> Config | None:
    """The filled config; None where it is faulty in this context."""
    try:
        return resolve(config, context)
    except SpecError:
        return None


def draw_part(draw: Draw, slot: str, subject: Subject, capability: str = "", depth: int = DEPTH) -> Config:
    """A component of a slot, for surroundings that hold one: one that promises a capability, where that is asked."""
    return _component(draw, slot, subject, depth, capability)


def _stated(draw: Draw, cls: type[Config], subject: Subject, depth: int, *, usually: bool = False) -> Config:
    """Every required field and some others; with `usually` the required ones are those of the field's own example."""
    values = {}
    for name, spec in field_specs(cls).items():
        if spec.required and usually and spec.example is not UNSET:
            values[name] = spec.example
        elif spec.required or (depth < DEPTH and draw(OFTEN)):
            value = _value(draw, spec, subject, depth)
            if value is not UNSET:
                values[name] = value
    return cls(**values)


def _value(draw: Draw, spec: FieldSpec, subject: Subject, depth: int) -> Any:
    if spec.optional and not draw(OFTEN):
        return None
    if isinstance(spec.kind, PartKind):
        return _component(draw, spec.kind.slot, subject, depth + 1)
    if isinstance(spec.kind, PartsKind):
        count = draw(st.integers(1, 2))
        return tuple(_component(draw, spec.kind.slot, subject, depth + 1) for _ in range(count))
    drawn = [each for each in _candidates(spec.kind) if not isinstance(spec.kind.accept(each), Refusal)]
    if spec.example is not UNSET and not drawn:
        drawn = [spec.example]
    if drawn:
        return draw(st.sampled_from(drawn))
    if not spec.required or isinstance(spec.kind, PathKind):
        return UNSET
    return usual(spec.kind)


def _candidates(kind: Kind) -> Sequence[Any]:
    """Values that a field of a kind may take, the plainest first; some may be out of its bounds."""
    match kind:
        case SizeKind():
            return SIZES if kind.low <= SIZES[-1] else [kind.low, kind.low + 1, kind.low + 4]
        case NumberKind():
            return [*NUMBERS, *_within(kind)]
        case AmountKind():
            return [1, 3, Share.percent(10), Share.percent(100)]
        case ShareKind():
            return [Share.percent(each) for each in (10, 50, 100)]
        case FlagKind():
            return [True, False]
        case ChoiceKind():
            return kind.options
        case ManyKind():
            return [tuple([each] * max(kind.least, 1)) for each in _candidates(kind.of)]
    return []


def _within(kind: NumberKind) -> Iterator[float]:
    bounds = [each for each in (kind.low, kind.high, kind.above, kind.below) if each is not None]
    yield from (float(each) for each in bounds)
    if len(bounds) == 2:
        yield sum(bounds) / 2


def _component(draw: Draw, slot: str, subject: Subject, depth: int, capability: str = "") -> Config:
    able = (each for each in _classes(slot, subject) if not capability or capability in each.__component__.capabilities)
    classes = list(able)
    if not classes:
        raise PluginError(f"no component of slot {slot} is installed, and {subject.id} needs one")
    return _stated(draw, draw(st.sampled_from(classes)), subject, depth)


def _classes(slot: str, subject: Subject) -> Iterator[type[Config]]:
    """The components of a slot: the built-ins, and those of the subject's own distribution."""
    registry = installed()
    for name in sorted(registry.names(slot), key=lambda name: ("." in name, name)):
        entry = registry.find(slot, name)
        own = subject.owner is not None and entry is not None and entry.owner.distribution == subject.owner.distribution
        if entry is not None and (entry.owner.built_in or own):
            yield entry.config()
