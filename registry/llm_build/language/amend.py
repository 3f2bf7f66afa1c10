"""Amending: `base { … }` copies and changes; the base never changes. A body sets each path once, so order is free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from llm_build.diagnostics import Related, Span
from llm_build.language import tree
from llm_build.language.operators import Unbound
from llm_build.language.values import DEPTH_LIMIT, FAULTY, Component, Head, Setting, Value, Wrong, beyond, described

if TYPE_CHECKING:
    from llm_build.language.expressions import Evaluator, Where

SAME_NAME_LIMIT = 256
VALUE_SHOWN = 40
"""A longer value is not repeated in help."""


@attrs.frozen(eq=False, repr=False)
class Change:
    """One entry of a body, evaluated once: a new value for a field, or changes to what it holds."""

    name: str
    place: Span
    layers: tuple[int, int] | None
    value: Value | None = None
    inner: tuple[Change, ...] | None = None

    def overlaps(self, other: Change) -> bool:
        """Whether both speak of a common layer."""
        if self.layers is None or other.layers is None:
            return True
        return self.layers[0] < other.layers[1] and other.layers[0] < self.layers[1]


def amend(evaluator: Evaluator, base: Value, body: tree.Body, where: Where, span: Span) -> Value:
    """A copy of the base with the changes of a body."""
    changes = read_body(evaluator, [(each, where) for each in body.entries])
    return base if base.data is FAULTY else Amender(evaluator).apply(base, changes, span)


def read_body(evaluator: Evaluator, entries: Sequence[tuple[tree.Assign | tree.Merge, Where]]) -> tuple[Change, ...]:
    """The changes of a body, without those that set a path a second time."""
    changes: dict[str, list[Change]] = {}
    order: list[Change] = []
    for entry, where in entries:
        change = _read_entry(evaluator, entry, where)
        if change is None:
            continue
        before = changes.setdefault(change.name, [])
        if len(before) >= SAME_NAME_LIMIT:
            evaluator.fault("E212", f"a body speaks of `{change.name}` at most {SAME_NAME_LIMIT} times", change.place)
            break
        if not any(_clash(evaluator, earlier, change) for earlier in before):
            before.append(change)
            order.append(change)
    return tuple(order)


def _read_entry(evaluator: Evaluator, entry: tree.Assign | tree.Merge, where: Where) -> Change | None:
    target, place = entry.target, where.span(entry.target)
    if len(target.steps) != 1 or target.slot is not None:
        advice = f"write {_nested(entry, where)}"
        if where.file.field_value(target.steps[0].name) is not None:
            advice += " in a file that extends this one, or change the value itself"
        evaluator.fault("E209", "a body names one field at a time", place, advice)
        return None
    step = target.steps[0]
    try:
        layers = evaluator.selection(step.selector, where) if step.selector else None
    except Wrong as wrong:
        evaluator.fault(wrong.code, wrong.message, place, wrong.help)
        return None
    except Unbound as unbound:
        evaluator.unbound(unbound.head)
        return None
    if isinstance(entry, tree.Assign):
        return Change(step.name, place, layers, value=evaluator.evaluate(entry.value, where))
    inner = read_body(evaluator, [(each, where) for each in entry.body.entries])
    return Change(step.name, place, layers, inner=inner)


def _nested(entry: tree.Assign | tree.Merge, where: Where) -> str:
    """A field further in as bodies say it: `model { layers[1] { dropout = 0 } }`."""
    text = where.file.source.text
    *outer, last = (text[step.start : step.end] for step in entry.target.steps)
    if isinstance(entry, tree.Merge):
        written = f"{last} {{ … }}"
    else:
        value = text[entry.value.start : entry.value.end]
        written = f"{last} = {value if len(value) <= VALUE_SHOWN and value.isprintable() else '…'}"
    return "".join(f"{each} {{ " for each in outer) + written + " }" * len(outer)


def _clash(evaluator: Evaluator, earlier: Change, later: Change) -> bool:
    """Whether two entries of one body set the same path; reported at the later one."""
    if not earlier.overlaps(later):
        return False
    if earlier.inner is None or later.inner is None:
        related = (Related("set here first", earlier.place),)
        advice = "keep one of the two; a body is free of order, so neither could win"
        evaluator.fault("E209", f"`{later.name}` is set twice in one body", later.place, advice, related)
        return True
    return any(_clash(evaluator, a, b) for a in earlier.inner for b in later.inner if a.name == b.name)


class Amender:
    """Applies changes to values. Layers that are one object stay one object."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self._layers: dict[tuple[int, tuple[int, ...]], Value] = {}

    def apply(self, base: Value, changes: Sequence[Change], span: Span, name: str = "name") -> Value:
        """The base with the changes: a component, a bare component name, or every layer of a list."""
        data = base.data
        if data is FAULTY:
            return base
        if isinstance(data, tuple):
            return attrs.evolve(base, data=self._every(data, changes, span), span=span)
        if isinstance(data, Head):
            data = Component(data, {}, data.span)
        if not isinstance(data, Component):
            message = f"there is nothing to merge into: this is {described(data)}"
            return self.evaluator.fault("E210", message, span, f"write `{name} = component {{ … }}`", base.related)
        fields = dict(data.fields)
        for change in changes:
            self._change(fields, change)
        made = Component(data.head, fields, span)
        if made.depth > DEPTH_LIMIT:
            return self.evaluator.fault("E108", f"components nest at most {DEPTH_LIMIT} deep; this nests deeper", span)
        return Value(made, span, base.via, base.related)

    def _every(self, layers: tuple[Value, ...], changes: Sequence[Change], span: Span) -> tuple[Value, ...]:
        # thousands of layers are often one value
        different = dict(zip(map(id, layers), layers, strict=True))
        made = {key: self._layer(layer, changes, span) for key, layer in different.items()}
        return tuple(map(made.__getitem__, map(id, layers)))

    def _layer(self, layer: Value, changes: Sequence[Change], span: Span) -> Value:
        key = (id(layer.data), tuple(id(each) for each in changes))
        if key not in self._layers:
            self._layers[key] = self.apply(layer, changes, span)
        return self._layers[key]

    def _change(self, fields: dict[str, Setting], change: Change) -> None:
        held = fields.get(change.name)
        if change.layers is not None:
            fields[change.name] = Setting(change.place, self._select(held, change))
        elif change.value is not None:
            fields[change.name] = Setting(change.place, change.value)
        else:
            # without a value here, the change waits for the declared default
            base = held.value if held else Value(Component(None, {}, change.place), change.place)
            fields[change.name] = Setting(held.place if held else change.place, self._merge(base, change))

    def _merge(self, base: Value, change: Change) -> Value:
        return self.apply(base, change.inner or (), change.place, change.name)

    def _select(self, held: Setting | None, change: Change) -> Value:
        assert change.layers is not None
        first, stop = change.layers
        if held is not None and held.value.data is FAULTY:
            return held.value
        data = held.value.data if held else ()
        items = list(data) if isinstance(data, tuple) else [held.value] if held else []
        if not 0 <= first < stop <= len(items):
            wrong = beyond(change.name, len(items), first, stop)
            return self.evaluator.fault(wrong.code, wrong.message, change.place, wrong.help)
        for index in range(first, stop):
            items[index] = (
                change.value
                if change.value is not None
                else self._layer(items[index], change.inner or (), change.place)
            )
        assert held is not None
        return attrs.evolve(held.value, data=tuple(items))
