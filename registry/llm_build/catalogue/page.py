"""All that is known of one component: who brings it, its fields, an example, and where it can stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import cleandoc
from typing import Any

import attrs

from llm_build.catalogue.example import example
from llm_build.components import UNSET, Config, FieldSpec, ManyKind, PartKind, PartsKind, field_specs
from llm_build.components.kinds import Kind
from llm_build.errors import PluginError
from llm_build.language.writer import write_component
from llm_build.registry import Entry, Owner, Registry
from llm_build.resolve.raising import raised


@attrs.frozen(kw_only=True)
class FieldLine:
    """A field: what it takes in words, the same for programs, and what it is where a spec says nothing.

    `default` is the text of a spec, None where there is none to be had without surroundings.
    """

    name: str
    takes: str
    kind: dict[str, Any]
    required: bool
    default: str | None
    unstated: str
    doc: str


@attrs.frozen(kw_only=True)
class Page:
    """One component. `taken_by` names the fields of installed components that it fits, `opt_outs` the checks of the
    conformance kit that it is not held to, each with its reason."""

    id: str
    version: int
    owner: Owner
    capabilities: tuple[str, ...]
    opt_outs: dict[str, str]
    doc: str
    fields: Sequence[FieldLine]
    example: str
    taken_by: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        return attrs.asdict(self)


def pages(name: str, registry: Registry) -> list[Page]:
    """The pages of `gqa` or of `attention:gqa`: one for each slot that has the name, and for each who claims it.

    Empty where none is installed. Raises `PluginError` where one cannot be imported.
    """
    slot, colon, bare = name.rpartition(":")
    found = (each for each in registry.entries() if each.name == bare and (not colon or each.slot == slot))
    return [_page(each, registry) for each in found]


def _page(entry: Entry, registry: Registry) -> Page:
    cls = entry.config()
    info = cls.__component__
    return Page(
        id=info.id,
        version=info.version,
        owner=entry.owner,
        capabilities=tuple(sorted(info.capabilities)),
        opt_outs=dict(sorted(info.opt_outs.items())),
        doc=cleandoc(info.doc),
        fields=[_line(name, spec) for name, spec in field_specs(cls).items()],
        example=example(cls, registry),
        taken_by=list(_takers(entry.slot, registry)),
    )


def _line(name: str, spec: FieldSpec) -> FieldLine:
    return FieldLine(
        name=name,
        takes=spec.kind.describe() + (", or none" if spec.optional else ""),
        kind={**_kind(spec.kind), "optional": spec.optional},
        required=spec.required,
        default=_default(spec),
        unstated="must be stated" if spec.required else _unstated(spec),
        doc=spec.doc,
    )


def _kind(kind: Kind) -> dict[str, Any]:
    """The kind of a field by name, with its bounds."""
    cls = type(kind)
    bounds: dict[str, Any] = (
        {each.name: getattr(kind, each.name) for each in attrs.fields(cls)} if attrs.has(cls) else {}
    )
    if isinstance(kind, ManyKind):
        bounds["of"] = _kind(kind.of)
    stated = {name: value for name, value in bounds.items() if value is not None}
    return {"kind": cls.__name__.removesuffix("Kind").lower(), **stated}


def _unstated(spec: FieldSpec) -> str:
    """Where the value comes from: what surrounds it beats a derivation, and that beats a default."""
    ways = [f"{spec.inherit} of what is around it"] if spec.inherit else []
    last = (spec.says or "derived") if spec.derive is not None else _default(spec)
    return ", else ".join([*ways, last] if last is not None else ways)


def _default(spec: FieldSpec) -> str | None:
    if spec.derive is not None or (spec.default is UNSET and not spec.optional):
        return None
    if spec.default is UNSET or spec.default is None:
        return "none"
    if isinstance(spec.default, Config):
        return write_component(raised(spec.default))
    if isinstance(spec.kind, PartKind | PartsKind):
        return str(spec.default)
    return spec.kind.write(spec.kind.accept(spec.default))


def _takers(slot: str, registry: Registry) -> Iterator[str]:
    for entry in registry.entries():
        try:
            fields = field_specs(entry.config())
        except PluginError:  # it is reported where everything is listed
            continue
        for name, spec in fields.items():
            if isinstance(spec.kind, PartKind | PartsKind) and spec.kind.slot == slot:
                yield f"{entry.name}.{name}"
