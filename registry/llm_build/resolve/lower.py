"""Values → configs: look every name up in its slot, check every stated value, and keep the place of each.

A value that a field cannot take is a fault at its place; the config then holds FAULTY there, so that filling derives
nothing from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from llm_build.components import (
    Config,
    FieldSpec,
    ManyKind,
    PartKind,
    PartsKind,
    PathKind,
    Refusal,
    field_specs,
)
from llm_build.diagnostics import Diagnostic, Related, Span
from llm_build.errors import PluginError
from llm_build.language.scope import Binding
from llm_build.language.values import DEFAULT, FAULTY, Component, Head, Setting, Value, described, similar
from llm_build.registry import Entry, Registry
from llm_build.resolve.meant import Meant, listed
from llm_build.spec import Spec

CONFIG_LIMIT = 100_000


@attrs.frozen(eq=False, repr=False)
class Place:
    """Where a config was written: its head, and the setting of each stated field."""

    config: Config
    span: Span
    fields: Mapping[str, Setting]


class Lowering:
    """Lowers the values of one spec. A component that is used many times becomes one config object."""

    def __init__(self, registry: Registry, params: Iterable[str] = ()) -> None:
        self.registry = registry
        self.meant = Meant(registry, params)
        self.faults: list[Diagnostic] = []
        self.places: dict[int, Place] = {}
        self.too_large = False
        self._memo: dict[tuple[int, str], tuple[Component, Any]] = {}
        self._sizes: dict[int, int] = {}

    def root(self, value: Value) -> Config:
        """The root of a spec as a `Spec` config."""
        assert isinstance(value.data, Component)
        config = self._fields(Spec, value.data, "")
        size = self._sizes[id(config)]
        self.too_large = size > CONFIG_LIMIT
        if self.too_large:
            message = f"a spec makes at most {CONFIG_LIMIT:_} components; this one makes {size:_}"
            self._fault("E212", message, value.span, "use fewer layers, or fewer parts in each")
        return config

    def component(self, value: Value, slot: str) -> Config | None:
        """A value as a component of a slot; None where it is faulty."""
        made = self._part(value, slot, FieldSpec(kind=PartKind(slot)), slot, "")
        return made if isinstance(made, Config) else None

    def check_let(self, binding: Binding) -> None:
        """Even an unused let must name a component of some slot, and fields that a component of that name has."""
        if binding.value is not None and not binding.uses:
            for each in (binding.value.data, *binding.value.lost):
                self._check_unused(each)

    def _check_unused(self, data: Any) -> None:
        if isinstance(data, tuple):
            for each in {id(item.data): item.data for item in data}.values():
                self._check_unused(each)
        if isinstance(data, Head):
            data = Component(data, {}, data.span)
        if not isinstance(data, Component) or data.head is None:
            return
        head = data.head
        slots = [head.slot] if head.slot else self.registry.slots_of(head.name)
        try:
            classes = [each.config() for slot in slots if (each := self._find(slot, head)) is not None]
        except PluginError as fault:
            self._fault("E308", fault.message, head.span, fault.remedy)
            return
        if not classes:
            self._unknown(head, [name for slot in self.registry.slots() for name in self.registry.names(slot)], "")
        for name, setting in data.fields.items():
            owners = [cls for cls in classes if name in field_specs(cls)]
            if not owners and classes:
                self._unknown_field(classes[0], name, setting, data, "")
            elif len(owners) == 1:
                self._plain_or_part(field_specs(owners[0])[name], name, setting, "")

    # --- components ---

    def _fields(self, cls: type[Config], data: Component, path: str, hidden: str = "") -> Config:
        specs, stated, size = field_specs(cls), {}, 1
        for name, setting in data.fields.items():
            if name not in specs:
                meant = self._unknown_field(cls, name, setting, data, path, hidden)
                if meant and meant not in data.fields:
                    stated[meant] = FAULTY  # so that it is not found missing as well
            elif setting.value.data is not DEFAULT:
                stated[name] = self._plain_or_part(specs[name], name, setting, f"{path}.{name}".lstrip("."))
                size += self._size(stated[name])
        config = cls(**stated)
        self.places[id(config)] = Place(config, data.head.span if data.head else data.span, data.fields)
        self._sizes[id(config)] = size
        return config

    def _size(self, value: Any) -> int:
        items = value if isinstance(value, tuple) else (value,)
        return sum(self._sizes.get(id(each), 0) for each in items)

    def _plain_or_part(self, spec: FieldSpec, name: str, setting: Setting, path: str) -> Any:
        value = setting.value
        if isinstance(spec.kind, PartKind | PartsKind):
            for each in value.lost:
                self._part(Value(each, each.span), spec.kind.slot, spec, name, path)
        if value.data is FAULTY or (value.data is None and spec.optional):
            return value.data
        if isinstance(spec.kind, PartKind):
            return self._part(value, spec.kind.slot, spec, name, path)
        if isinstance(spec.kind, PartsKind):
            items = value.data if isinstance(value.data, tuple) else (value,)
            made = tuple(
                self._part(each, spec.kind.slot, spec, name, f"{path}[{index}]") for index, each in enumerate(items)
            )
            if FAULTY in made:
                return FAULTY
            return self._accepted(spec, name, made, value)
        return self._plain(spec, name, value)

    def _part(self, value: Value, slot: str, spec: FieldSpec, name: str, path: str) -> Any:
        data = value.data
        if data is FAULTY:
            return FAULTY
        if isinstance(data, Head):
            data = Component(data, {}, data.span)
        if not isinstance(data, Component):
            return self._no_component(value, slot, name)
        key = (id(data), slot)
        if key not in self._memo:
            cls = self._class(data, value, slot, spec, name)
            # the component is kept beside its config so that its id is not given to another
            hidden = self.meant.hidden(value, slot)
            self._memo[key] = (data, FAULTY if cls is None else self._fields(cls, data, path, hidden))
        return self._memo[key][1]

    def _class(self, data: Component, value: Value, slot: str, spec: FieldSpec, name: str) -> type[Config] | None:
        try:
            if data.head is None:
                return self._default_class(data, slot, spec, name)
            entry = self._find(slot, data.head)
            if entry is not None:
                return entry.config()
        except PluginError as fault:
            span = data.head.span if data.head else data.span
            self._fault("E308", fault.message, span, fault.remedy)
            return None
        self._unknown(data.head, self.registry.names(slot), slot, value)
        return None

    def _find(self, slot: str, head: Head) -> Entry | None:
        return self.registry.find(slot, head.name) if head.slot in (None, slot) else None

    def _default_class(self, data: Component, slot: str, spec: FieldSpec, name: str) -> type[Config] | None:
        if isinstance(spec.default, str):
            return self.registry.config(slot, spec.default)
        if isinstance(spec.default, Config):
            return type(spec.default)
        example = spec.suggested(self.registry.names(slot)) or "component"
        self._fault(
            "E210",
            f"there is nothing to merge into: {name} is not set",
            data.span,
            f"write `{name} = {example} {{ … }}`",
        )
        return None

    def _unknown(self, head: Head, names: list[str], slot: str, value: Value | None = None) -> None:
        elsewhere = self.registry.slots_of(head.name)
        advice = self.meant.hidden(value, slot) if value else ""
        span, related = head.span, value.related if value else ()
        if head.slot not in (None, slot) and slot:
            message = f"this field takes a component of slot {slot}; `{head.slot}:` names another slot"
            advice = f"write `{slot}:{head.name}`" if head.name in names else f"slot {slot} has {listed(names)}"
        elif elsewhere and slot:
            message = f"this field takes a component of slot {slot}; `{head.name}` is one of slot {elsewhere[0]}"
            advice = advice or f"slot {slot} has {listed(names)}"
            if value and value.via:
                span, related = value.span, (*related, Related(f"`{head.name}` named here", head.span))
        else:
            message = f"no component `{head}` is installed" + (f" in slot {slot}" if slot else "")
            advice = advice or self.meant.component(head, names, slot)
        self._fault("E304", message, span, advice, related)

    def _unknown_field(
        self, cls: type[Config], name: str, setting: Setting, data: Component, path: str, hidden: str = ""
    ) -> str:
        """Report a field that is not there; gives the field that was probably meant."""
        near = similar(name, field_specs(cls))
        advice = f"a field with a similar name exists: `{near}`" if near else self.meant.field(cls, name, data)
        what = "a spec" if cls is Spec else cls.__component__.name
        # a change to many layers does not show which of them it does not fit
        where = "" if _within(setting.place, data.span) or "[" not in path else f" ({path})"
        code = "E305" if cls is not Spec else "E306"
        self._fault(code, f"{what} has no field `{name}`{where}", setting.place, hidden or advice)
        return near

    def _no_component(self, value: Value, slot: str, name: str) -> Any:
        message = f"{name} takes a component of slot {slot}; {described(value.data)} arrived"
        advice = self.meant.hidden(value, slot) or f"slot {slot} has {listed(self.registry.names(slot))}"
        self._fault("E307", message, value.span, advice, value.related)
        return FAULTY

    # --- plain values ---

    def _plain(self, spec: FieldSpec, name: str, value: Value) -> Any:
        head = _unbound(value)
        if head is not None:
            self._fault("E201", f"`{head}` is no let and no param here", head.span, head.hint())
            return FAULTY
        raw = _raw(value)
        if raw is FAULTY:
            return FAULTY
        if isinstance(raw, (Component, Head)):
            self._fault(
                "E301", f"{name} takes {spec.kind.describe()}; {described(raw)} arrived", value.span, "", value.related
            )
            return FAULTY
        if isinstance(raw, tuple) and any(isinstance(each, Component) for each in raw):
            self._fault("E301", f"{name} takes {spec.kind.describe()}; a list of components arrived", value.span)
            return FAULTY
        if isinstance(spec.kind, PathKind):
            raw = _located(raw, value)
        elif isinstance(spec.kind, ManyKind) and isinstance(value.data, tuple):
            return self._elements(spec, spec.kind, name, value)
        return self._accepted(spec, name, raw, value)

    def _elements(self, spec: FieldSpec, kind: ManyKind, name: str, value: Value) -> Any:
        """A list, each element checked at its own place."""
        assert isinstance(value.data, tuple)
        single = attrs.evolve(spec, kind=kind.of)
        made = []
        for index, item in enumerate(value.data):
            raw = _located(item.data, item) if isinstance(kind.of, PathKind) else item.data
            made.append(self._accepted(single, f"{name}[{index}]", raw, item))
        return FAULTY if FAULTY in made else self._accepted(spec, name, tuple(made), value)

    def _accepted(self, spec: FieldSpec, name: str, raw: Any, value: Value) -> Any:
        accepted = spec.kind.accept(raw)
        if isinstance(accepted, Refusal):
            self._fault("E301", f"{name} {accepted.message}", value.span, accepted.help, value.related)
            return FAULTY
        return accepted

    def _fault(self, code: str, message: str, span: Span, help: str = "", related: tuple[Related, ...] = ()) -> None:
        self.faults.append(Diagnostic(code=code, message=message, span=span, help=help, related=related))


def _unbound(value: Value) -> Head | None:
    """The bare name in a field that takes no component, also where `4 * dim` made it look like layers."""
    if isinstance(value.data, Head):
        return value.data
    if isinstance(value.data, tuple):
        return next((each.data for each in value.data if isinstance(each.data, Head)), None)
    return None


def _raw(value: Value) -> Any:
    """A value without its places."""
    if isinstance(value.data, tuple):
        items = tuple(_raw(each) for each in value.data)
        return FAULTY if FAULTY in items else items
    return value.data


def _located(raw: Any, value: Value) -> Any:
    """A path literal, relative to the folder of the file that holds it; text without a file is left as it is."""
    home = value.home.source.path if value.home else None
    if not isinstance(raw, str) or home is None or not raw:
        return raw
    return (Path(home).parent / raw).as_posix()


def _within(inner: Span, outer: Span) -> bool:
    return inner.source is outer.source and outer.start <= inner.start < outer.end
