"""An example of a component, as a spec writes it: what it must be told, and what its fields want to be shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llm_build.components import UNSET, Config, FieldSpec, ManyKind, PartKind, PartsKind, Refusal, Share, field_specs
from llm_build.components.kinds import AmountKind, ChoiceKind, FlagKind, Kind, NumberKind, PathKind, ShareKind, SizeKind
from llm_build.errors import PluginError
from llm_build.registry import Registry

OPEN = "…"
"""Stands where nothing that is installed could."""


def example(cls: type[Config], registry: Registry, inside: frozenset[str] = frozenset()) -> str:
    """`moe { experts = 8, expert = geglu }`. `inside` names the components that it stands in, which it does not repeat.

    Raises `PluginError` where a field states an example that it does not take.
    """
    info = cls.__component__
    shown = {name: spec for name, spec in field_specs(cls).items() if _is_shown(spec, registry)}
    stated = [f"{name} = {_value(info.id, name, spec, registry, inside)}" for name, spec in shown.items()]
    return f"{info.name} {{ {', '.join(stated)} }}" if stated else info.name


def _is_shown(spec: FieldSpec, registry: Registry) -> bool:
    return spec.required or spec.example is not UNSET or _needs_telling(spec, registry)


def _needs_telling(spec: FieldSpec, registry: Registry) -> bool:
    """Whether the default is a component that does not stand without being told something."""
    if not isinstance(spec.kind, PartKind) or not isinstance(spec.default, str):
        return False
    for cls in _classes(spec.kind.slot, [spec.default], registry):
        return any(each.required or _needs_telling(each, registry) for each in field_specs(cls).values())
    return False


def _value(identity: str, name: str, spec: FieldSpec, registry: Registry, inside: frozenset[str]) -> str:
    if isinstance(spec.kind, PartKind | PartsKind):
        return _part(spec, registry, inside | {identity})
    value = usual(spec.kind) if spec.example is UNSET else spec.example
    accepted = spec.kind.accept(value)
    if isinstance(accepted, Refusal):
        raise PluginError(f"the example of {name} in {identity} must be one: it {accepted.message}; {accepted.help}")
    return spec.kind.write(accepted)


def _part(spec: FieldSpec, registry: Registry, inside: frozenset[str]) -> str:
    assert isinstance(spec.kind, PartKind | PartsKind)
    if spec.example is not UNSET:
        return str(spec.example)
    named = [spec.default] if isinstance(spec.default, str) else []
    for cls in _classes(spec.kind.slot, named, registry):
        if cls.__component__.id not in inside:
            return example(cls, registry, inside)
    return OPEN


def _classes(slot: str, named: list[str], registry: Registry) -> Iterator[type[Config]]:
    """The components of a slot, those that have no namespace first; one that cannot be used is passed over."""
    for name in named or sorted(registry.names(slot), key=lambda name: ("." in name, name)):
        try:
            yield registry.config(slot, name)
        except PluginError:
            continue


def usual(kind: Kind) -> Any:
    """A value that a field of this kind takes. Raises `PluginError` for a kind that holds components."""
    match kind:
        case SizeKind():
            return min(max(kind.low, 4), kind.high)
        case NumberKind():
            tries = (0.1, 1.0, 10.0, kind.low, kind.high, *_between(kind))
            return next(each for each in tries if each is not None and not isinstance(kind.accept(each), Refusal))
        case AmountKind():
            return 100
        case ShareKind():
            return Share.percent(10)
        case FlagKind():
            return True
        case ChoiceKind():
            return kind.options[0]
        case ManyKind():
            return [usual(kind.of)] * max(kind.least, 1)
        case PathKind():
            return "folder/file"
    return "text"


def _between(kind: NumberKind) -> Iterator[float]:
    """Numbers near to the bounds that must not be reached."""
    above, below = kind.above, kind.below
    if above is not None and below is not None:
        yield (above + below) / 2
    yield from (each for each in (above and above * 2, below and below / 2, 0.5) if each is not None)
