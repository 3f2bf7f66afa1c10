"""What was probably meant by a name that is not there: near names, lets that hide components, fields further in."""

from __future__ import annotations

from collections.abc import Iterable

from llm_build.components import Config, FieldSpec, PartKind, field_specs
from llm_build.errors import PluginError
from llm_build.language.values import Component, Head, Setting, Value, similar
from llm_build.registry import Registry
from llm_build.spec import Spec


class Meant:
    """Advice on names; `params` are those of the spec."""

    def __init__(self, registry: Registry, params: Iterable[str]) -> None:
        self.registry = registry
        self.params = list(params)

    def component(self, head: Head, names: list[str], slot: str) -> str:
        """What to write instead of a component that is not installed; `names` are those that are, in the slot."""
        scope = list(head.scope())
        near = similar(head.name, [*names, *scope])
        if near in scope:
            return f"a name that is in scope is similar: `{near}`"
        if near and near.rpartition(".")[0] == head.name.rpartition(".")[0]:
            return f"a component with a similar name exists: `{near}`"
        if "." in head.name:
            space, unused = head.name.split(".")[0], self.registry.unused()
            advice = f"install the plugin that brings the namespace `{space}`, or name its file with --plugin"
            return f"{advice} ({', '.join(unused)})" if unused else advice
        return f"slot {slot} has {listed(names)}" if slot else head.hint()

    def hidden(self, value: Value, slot: str) -> str:
        """What to write where a let hides the component that was meant; "" where none does."""
        if not value.via or value.via not in self.registry.names(slot):
            return ""
        return f"`{value.via}` is a let here, which hides the component of that name: write `{slot}:{value.via}`"

    def field(self, cls: type[Config], name: str, data: Component) -> str:
        """What to write instead of a field that a component does not have, and whose name is near to none."""
        inner = self._further_in(cls, name, data)
        if inner:
            place = f"in the braces of `{inner}`" if inner in data.fields else f"as `{inner} {{ {name} = … }}`"
            return f"`{name}` is a field of what `{inner}` holds: write it {place}"
        fields = f"its fields are {listed(list(field_specs(cls)))}"
        return self._param(name) or f"{fields}; a value of your own is a `param` or a `let`" if cls is Spec else fields

    def _further_in(self, cls: type[Config], name: str, data: Component) -> str:
        """The field whose component has the field that was meant; "" where none has."""
        for field, spec in field_specs(cls).items():
            if isinstance(spec.kind, PartKind) and name in self._fields_of(spec, spec.kind, data.fields.get(field)):
                return field
        return ""

    def _fields_of(self, spec: FieldSpec, kind: PartKind, setting: Setting | None) -> Iterable[str]:
        """The fields of the component that a field holds, stated or by default, as far as that is plain."""
        held = setting.value.data if setting else spec.default
        head = held.head if isinstance(held, Component) else held
        known = head.name if isinstance(head, Head) else head
        if not isinstance(known, str) or known not in self.registry.names(kind.slot):
            return ()
        try:
            return field_specs(self.registry.config(kind.slot, known))
        except PluginError:
            return ()

    def _param(self, name: str) -> str:
        """What to write where a param was to get another value; "" where no param has a near name."""
        near = similar(name, self.params)
        if near == name:
            return f"to give the param another value: `param {name} = …`"
        return f"a param with a similar name exists: `{near}`" if near else ""


def listed(names: list[str], at_most: int = 12) -> str:
    """Names for a message: the first of them."""
    shown = ", ".join(f"`{each}`" for each in names[:at_most])
    return f"{shown}, …" if len(names) > at_most else shown or "none"
