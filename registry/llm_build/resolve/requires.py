"""`require`: conditions on the resolved spec. They read what was derived and inherited, not only what was written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import attrs

from llm_build.components import Config, Share, field_specs, walk
from llm_build.context import Context
from llm_build.diagnostics import Diagnostic
from llm_build.language import tree
from llm_build.language.evaluator import Evaluated
from llm_build.language.expressions import Evaluator, Where
from llm_build.language.operators import Unbound, truth
from llm_build.language.values import FAULTY, Head, Value, Wrong, beyond, shown, similar
from llm_build.language.words import ROOTS
from llm_build.registry import installed
from llm_build.resolve.rules import Place
from llm_build.resolve.unmet import set_where, to_change

Measure = Callable[[str, Config, Context, Any], int]
"""(what, a filled part, its context, the filled spec) → params, flops or memory; `Wrong` where it cannot say."""


class Undecided(Exception):
    """The condition needs a measurement, and nobody measures here."""


@attrs.frozen(eq=False, repr=False)
class Held:
    """A resolved component as a value of a condition."""

    config: Config


class Conditions(Evaluator):
    """An evaluator that also reads the resolved spec: `model.layers[0].attention.head_dim`, `count(…)`, `params(…)`."""

    def __init__(
        self, evaluated: Evaluated, spec: Config | None, contexts: Mapping[int, Context], measure: Measure | None
    ) -> None:
        super().__init__(evaluated.evaluator.files)
        self.spec, self.contexts, self.measure = spec, contexts, measure

    def _free(self, node: tree.Reference, where: Where) -> Value:
        if node.steps[0].name not in ROOTS:
            return super()._free(node, where)
        if self.spec is None:
            return Value(FAULTY, where.span(node))
        held: Any = self.spec
        for step in node.steps:
            if not isinstance(held, Config) or step.name not in field_specs(held):
                return self._nowhere(held, step, where)
            held = getattr(held, step.name)
            if step.selector is not None:
                held = self._selected(held, step, where)
        return _value(held, where.span(node))

    def _nowhere(self, held: Any, step: tree.Step, where: Where) -> Value:
        names = list(field_specs(held)) if isinstance(held, Config) else []
        near = similar(step.name, names)
        what = held.__component__.name if isinstance(held, Config) else "a plain value"
        fields = ", ".join(names) or "none"
        advice = f"a field with a similar name exists: `{near}`" if near else f"its fields are {fields}"
        return self.fault("E202", f"{what} has no field `{step.name}`", where.span(step), advice)

    def _selected(self, held: Any, step: tree.Step, where: Where) -> Any:
        assert step.selector is not None
        first, stop = self.selection(step.selector, where)
        if not isinstance(held, tuple) or not first < stop <= len(held):
            count = len(held) if isinstance(held, tuple) else 0
            raise beyond(step.name, count, first, stop)
        return held[first] if step.selector.stop is None else held[first:stop]

    def resolved_call(self, name: str, node: tree.Call, where: Where) -> Value:
        span = where.span(node)
        arguments = [each for each in node.arguments if not isinstance(each, tree.Named)]
        if len(arguments) != len(node.arguments) or len(arguments) != (2 if name == "count" else 1):
            example = "count(model.layers, sliding)" if name == "count" else f"{name}(model)"
            raise Wrong(
                f"{name} takes {'layers and a component' if name == 'count' else 'a part of the spec'}",
                f"write {example}",
                "E205",
            )
        values = [self.evaluate(each, where) for each in arguments]
        if any(each.data is FAULTY for each in values):
            return Value(FAULTY, span)
        if name == "count":
            self._refuse_unknown(values[1])
            return Value(Fraction(_count(values[0], values[1])), span)
        if not isinstance(values[0].data, Held):
            raise Wrong(f"{name} takes a part of the spec", f"write {name}(model)", "E205")
        if self.measure is None:
            raise Undecided
        part = values[0].data.config
        return Value(Fraction(self.measure(name, part, self.contexts[id(part)], self.spec)), span)

    def _refuse_unknown(self, component: Value) -> None:
        registry = installed()
        head = component.data
        if isinstance(head, Head) and not registry.slots_of(head.name):
            names = {name for slot in registry.slots() for name in registry.names(slot)}
            near = similar(head.name, sorted(names))
            advice = f"a component with a similar name exists: `{near}`" if near else "install its plugin"
            raise Wrong(f"no component `{head}` is installed", advice, "E304")


def check_requires(
    evaluated: Evaluated,
    spec: Config | None,
    contexts: Mapping[int, Context],
    measure: Measure | None = None,
    place: Place | None = None,
) -> list[Diagnostic]:
    """Decide every `require`. One that needs a measurement is noted as decided at build where `measure` is None.

    `spec` is None where it is faulty: then only what does not hang on it is checked. `contexts` gives the context that
    each filled config of the spec (by its id) was filled in, `place` where what a path names was written.
    """
    conditions = Conditions(evaluated, spec, contexts, measure)
    found: list[Diagnostic] = []
    for node, where in evaluated.requires:
        span = where.span(node)
        why = conditions.text(node.why, where) if node.why else ""
        why = "" if why is FAULTY else why
        try:
            value = conditions.evaluate(node.condition, where)
            if value.data is not FAULTY and not truth(value.data, "`require`"):
                found.append(_failed(conditions, node, where, str(why), place))
        except Undecided:
            found.append(Diagnostic(code="N301", message="this requirement is decided at build", span=span))
        except Unbound as unbound:
            conditions.unbound(unbound.head)
        except Wrong as wrong:
            found.append(Diagnostic(code=wrong.code, message=wrong.message, span=span, help=wrong.help))
    return [*found, *conditions.faults]


def _failed(conditions: Conditions, node: tree.Require, where: Where, why: str, place: Place | None) -> Diagnostic:
    arrived = ""
    if isinstance(node.condition, tree.Chain) and len(node.condition.operands) == 2:
        left, right = (_readable(conditions.evaluate(each, where).data) for each in node.condition.operands)
        arrived = f"; {left} {node.condition.operators[0]} {right} arrived"
    message = "this requirement must hold" + (f": {why}" if why else "") + arrived
    span, advice = where.span(node.condition), to_change(node.condition, where, conditions, conditions.spec)
    related = tuple(set_where(node.condition, where, conditions, place))
    return Diagnostic(code="E309", message=message, span=span, help=advice, related=related)


def _readable(data: Any) -> str:
    return data.config.__component__.name if isinstance(data, Held) else shown(data)


def _value(held: Any, span: Any) -> Value:
    if isinstance(held, Config):
        return Value(Held(held), span)  # type: ignore[arg-type]
    if isinstance(held, tuple):
        return Value(tuple(_value(each, span) for each in held), span)
    if isinstance(held, bool) or held is None or isinstance(held, (str, Share)):
        return Value(held, span, home=span)
    # the shortest decimal of a float is what was written, so that a comparison with it is exact
    return Value(Fraction(repr(held)), span)


def _count(layers: Value, component: Value) -> int:
    if not isinstance(component.data, Head):
        raise Wrong("count takes the name of a component", "where a let hides the name, write slot:name", "E205")
    items = layers.data if isinstance(layers.data, tuple) else (layers,)
    if not all(isinstance(each.data, Held) for each in items):
        raise Wrong("count takes layers", "write count(model.layers, sliding)", "E205")
    head, known = component.data, {}
    for each in items:
        config = each.data.config  # type: ignore[union-attr]
        if id(config) not in known:
            known[id(config)] = any(_is(part, head) for part in walk(config))
    return sum(known[id(each.data.config)] for each in items)  # type: ignore[union-attr]


def _is(config: Config, head: Head) -> bool:
    info = config.__component__
    return info.name == head.name and head.slot in (None, info.slot)
