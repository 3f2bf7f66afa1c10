"""Expressions → values. Names are looked up in their file and its bases; nothing here knows what is installed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from fractions import Fraction

import attrs

from llm_build.diagnostics import Diagnostic, Related, Span
from llm_build.language import operators, tree
from llm_build.language.amend import amend
from llm_build.language.numbers import read_number
from llm_build.language.operators import Unbound
from llm_build.language.scope import Binding, FileScope
from llm_build.language.values import (
    DEFAULT,
    FAULTY,
    LAYER_LIMIT,
    Component,
    Data,
    Head,
    Value,
    Wrong,
    beyond,
    described,
    lost_in,
    shown,
    similar,
    too_many,
)
from llm_build.language.words import FUNCTIONS, ROOTS

CHAIN_LIMIT = 100
NESTING_LIMIT = 120
"""Evaluating takes up to five of Python's 1,000 frames a level."""
_SPLIT = "name a part of it with `let` or `param` and give that a value of its own"
NEAR_NAMES_LIMIT = 50
"""A text with more faults than this is no text with typos, and looking for near names would take long."""


@attrs.frozen(eq=False, repr=False)
class Where:
    """The statement that an expression belongs to: names above it are in scope."""

    file: FileScope
    index: int
    binding: Binding | None = None

    def span(self, node: tree.Placed) -> Span:
        return self.file.span(node)


class Evaluator:
    """Evaluates the expressions of a chain of files. `faults` gathers; a faulty value silences what needs it."""

    def __init__(self, files: Sequence[FileScope]) -> None:
        self.files = files
        self.faults: list[Diagnostic] = []
        self.params: dict[str, list[Binding]] = {}
        self._busy = self._depth = 0
        for file in files:
            for name, binding in file.bindings.items():
                if binding.is_param:
                    self.params.setdefault(name, []).append(binding)

    # --- names ---

    def lookup(self, name: str, where: Where) -> Binding | None:
        """The let or param that a bare name means here; the outermost definition of a param wins."""
        own = where.file.bindings.get(name)
        if own is not None and own.index < where.index:
            return self.params[name][-1] if own.is_param else own
        below = [each for each in self.params.get(name, []) if each.level < where.file.level]
        if not below:
            return None
        # inside its own definition the name means the outer thing
        return below[-1] if own is not None and own is where.binding else self.params[name][-1]

    def value_of(self, binding: Binding) -> Value:
        """The value of a let or param, evaluated once."""
        if binding.value is None:
            binding.value = self._evaluate_binding(binding)
        return binding.value

    def _evaluate_binding(self, binding: Binding) -> Value:
        file = next(each for each in self.files if each.level == binding.level)
        name = binding.node.name
        if binding.busy or self._busy > CHAIN_LIMIT:
            message = (
                f"`{name}` must not depend on itself" if binding.busy else "params must not hang on each other so deep"
            )
            return self.fault("E213", message, binding.place, "give it a value of its own")
        binding.busy, self._busy = True, self._busy + 1
        try:
            return self.evaluate(binding.node.value, Where(file, binding.index, binding))
        finally:
            binding.busy, self._busy = False, self._busy - 1

    def fault(self, code: str, message: str, span: Span, help: str = "", related: tuple[Related, ...] = ()) -> Value:
        """Report a fault; the value that stands for it silences all that would follow from it."""
        self.faults.append(Diagnostic(code=code, message=message, span=span, help=help, related=related))
        return Value(FAULTY, span)

    # --- expressions ---

    def evaluate(self, node: tree.Expr, where: Where) -> Value:
        method: Callable[[tree.Expr, Where], Value] = getattr(self, "_" + type(node).__name__.lower())
        span = where.span(node)
        if self._depth >= NESTING_LIMIT:
            return self.fault("E108", f"expressions nest at most {NESTING_LIMIT} deep, params and all", span, _SPLIT)
        self._depth += 1
        try:
            return method(node, where)
        except (Wrong, Unbound) as wrong:
            return self._faulted(wrong, span)
        finally:
            self._depth -= 1

    def _faulted(self, wrong: Wrong | Unbound, span: Span) -> Value:
        if isinstance(wrong, Unbound):
            return self.unbound(wrong.head)
        return self.fault(wrong.code, wrong.message, span, wrong.help)

    def unbound(self, head: Head) -> Value:
        """A bare name stands where only a value can."""
        return self.fault("E201", f"`{head}` is no let and no param here", head.span, head.hint())

    def _number(self, node: tree.Number, where: Where) -> Value:
        return Value(read_number(node.text), where.span(node))

    def _string(self, node: tree.String, where: Where) -> Value:
        span = where.span(node)
        return Value(self.text(node, where), span, home=span)

    def text(self, node: tree.String, where: Where) -> str | Data:
        """What a string literal says; FAULTY where its escapes are not JSON's."""
        try:
            value: str = json.loads(node.text)
            value.encode()
        except ValueError:
            advice = r"use JSON\'s escapes: \" \\ \n \t \u0041".replace("\\'", "'")
            self.fault(
                "E105", "this string has an escape or a character that JSON does not allow", where.span(node), advice
            )
            return FAULTY
        return value

    def _faulty(self, node: tree.Faulty, where: Where) -> Value:
        return Value(FAULTY, where.span(node))

    def _constant(self, node: tree.Constant, where: Where) -> Value:
        data: dict[str, Data] = {"true": True, "false": False, "none": None, "default": DEFAULT}
        return Value(data[node.name], where.span(node))

    def _listof(self, node: tree.ListOf, where: Where) -> Value:
        items = tuple(self._element(each, where) for each in node.items)
        if len(items) > LAYER_LIMIT:
            raise too_many(len(items))
        return Value(items, where.span(node))

    def _element(self, node: tree.Expr, where: Where) -> Value:
        value = self.evaluate(node, where)
        if isinstance(value.data, tuple):
            return self.fault("E206", "a list holds no lists", where.span(node), "join lists with +", value.related)
        return value

    def _unary(self, node: tree.Unary, where: Where) -> Value:
        operand = self.evaluate(node.operand, where)
        if operand.data is FAULTY:
            return operand
        span, odd = where.span(node), node.times % 2 == 1
        if node.operator == "not":
            value = operators.truth(operand.data, "`not`")
            return Value(not value if odd else value, span)
        exact = operators.number(operand.data, "`-`")
        return Value(-exact if odd else exact, span)

    def _chain(self, node: tree.Chain, where: Where) -> Value:
        result, *others = operands = [self.evaluate(each, where) for each in node.operands]
        for operator, right in zip(node.operators, others, strict=True):
            # each has its faults, also where they do not go together
            if FAULTY in (result.data, right.data):
                return Value(FAULTY, where.span(node), lost=lost_in(operands))
            try:
                result = self._combine(operator, result, right, node, where)
            except (Wrong, Unbound) as wrong:
                return attrs.evolve(self._faulted(wrong, where.span(node)), lost=lost_in(operands))
        return result

    def _combine(self, operator: str, left: Value, right: Value, node: tree.Chain, where: Where) -> Value:
        if node.operators[0] in _COMPARISONS and len(node.operators) > 1:
            raise Wrong("comparisons do not chain", "write `a < b and b < c`")
        span = where.span(node)
        if operator in {"and", "or"}:
            first, second = operators.truth(left.data, f"`{operator}`"), operators.truth(right.data, f"`{operator}`")
            return Value(first and second if operator == "and" else first or second, span)
        if operator in _COMPARISONS:
            return Value(operators.compare(operator, left.data, right.data), span)
        if operator == "+" and operators.is_layers(left.data) and operators.is_layers(right.data):
            return Value(self._limited(_items(left) + _items(right)), span)
        if operator == "*" and operators.is_layers(right.data) and isinstance(left.data, Fraction):
            return Value(self._repeated(left.data, right), span)
        if operator == "*" and operators.is_layers(left.data) and isinstance(right.data, Fraction):
            if isinstance(left.data, Head) and where.file.field_value(left.data.name) is not None:
                raise Unbound(left.data)
            name = left.via or (left.data if isinstance(left.data, Head) else "…")
            raise Wrong("the count of layers stands first", f"write {shown(right.data)} * {name}")
        return Value(operators.arithmetic(operator, left.data, right.data), span)

    def _repeated(self, count: Fraction, layers: Value) -> tuple[Value, ...]:
        whole = operators.repeats(count, "`*`")
        items = _items(layers)
        if whole * len(items) > LAYER_LIMIT:
            raise too_many(whole * len(items))
        return items * whole

    def _limited(self, items: tuple[Value, ...]) -> tuple[Value, ...]:
        if len(items) > LAYER_LIMIT:
            raise too_many(len(items))
        return items

    # --- references, components ---

    def _reference(self, node: tree.Reference, where: Where) -> Value:
        span = where.span(node)
        if node.slot is not None:
            return Value(Head(node.name, node.slot, span), span)
        first = node.steps[0]
        binding = self.lookup(first.name, where)
        if binding is None:
            return self._free(node, where)
        binding.uses.append(span)
        value = self.value_of(binding)
        if value.data is FAULTY:
            return Value(FAULTY, span, lost=value.lost)
        value = value.used_at(span, first.name, binding.place)
        return self._follow(value, node, where)

    def _follow(self, value: Value, node: tree.Reference, where: Where) -> Value:
        """Attribute access: `base.heads`, `stack[3].attention`."""
        value = self._select(value, node.steps[0], where)
        for before, step in zip(node.steps, node.steps[1:], strict=False):
            if value.data is FAULTY:
                return value
            fields = value.data.fields if isinstance(value.data, Component) else {}
            if step.name not in fields:
                known = f"it states {', '.join(fields)}" if fields else f"it is {described(value.data)}"
                near = similar(step.name, fields)
                advice = f"a field with a similar name is stated: `{near}`" if near else f"state it in `{before.name}`"
                return self.fault("E202", f"`{before.name}` states no {step.name}; {known}", where.span(step), advice)
            found = fields[step.name].value
            value = self._select(attrs.evolve(found, span=where.span(node)), step, where)
        return value

    def _select(self, value: Value, step: tree.Step, where: Where) -> Value:
        if step.selector is None or value.data is FAULTY:
            return value
        first, stop = self.selection(step.selector, where)
        if not isinstance(value.data, tuple) or not 0 <= first < stop <= len(value.data):
            count = len(value.data) if isinstance(value.data, tuple) else 0
            raise beyond(step.name, count, first, stop)
        if step.selector.stop is None:
            return value.data[first]
        return attrs.evolve(value, data=value.data[first:stop])

    def selection(self, selector: tree.Selector, where: Where) -> tuple[int, int]:
        """The layers that `[3]` or `[0:3]` means, as first and one past the last."""
        first = operators.repeats(self.evaluate(selector.first, where).data, "`[ ]`")
        if selector.stop is None:
            return first, first + 1
        return first, operators.repeats(self.evaluate(selector.stop, where).data, "`[ ]`")

    def _free(self, node: tree.Reference, where: Where) -> Value:
        """A name that is no let and no param here: perhaps a component; that is for the field to say."""
        span, name = where.span(node), node.steps[0].name
        if any(step.selector for step in node.steps):
            return self.fault("E201", f"`{name}` is no let and no param here", span, self._hint(name, where))
        if name in ROOTS or (node.simple and name in FUNCTIONS):
            kind = "a field of the spec" if name in ROOTS else "a function"
            advice = "only `require` reads the resolved spec" if name in ROOTS else f"call it: {name}(…)"
            return self.fault("E201", f"`{name}` is {kind}, not a value here", span, advice)
        below = where.file.bindings.get(name)
        if below is not None and below is not where.binding:
            line = below.place.line
            return self.fault(
                "E201", f"`{name}` is set below, at line {line}", span, f"move line {line} above this one"
            )
        return Value(Head(node.name, None, span, lambda: self._hint(name, where), lambda: self._scope(where)), span)

    def _scope(self, where: Where) -> list[str]:
        """Every name that may be used here."""
        if len(self.faults) > NEAR_NAMES_LIMIT:
            return []
        return [*self.params, *(each for each, it in where.file.bindings.items() if it.index < where.index)]

    def _hint(self, name: str, where: Where) -> str:
        if name.lower() in {"inf", "infinity", "nan"}:
            return "there is no inf and no nan: write a finite number"
        value = where.file.field_value(name)
        if value in where.file.bindings:
            return f"`{name}` is a field, not in scope: write `{value}`, which it is set to"
        if value is not None:
            return f"`{name}` is a field, not in scope: add `param {name} = {value}`"
        near = similar(name, self._scope(where))
        return f"a name that is in scope is similar: `{near}`" if near else f"add `param {name} = …` above"

    def _amended(self, node: tree.Amended, where: Where) -> Value:
        value = self.evaluate(node.base, where)
        for body in node.bodies:
            value = amend(self, value, body, where, where.span(node))
        return value

    # --- functions ---

    def _call(self, node: tree.Call, where: Where) -> Value:
        name, span = node.function.name, where.span(node)
        if name not in FUNCTIONS:
            near = similar(name, FUNCTIONS, 0.8)
            advice = f"write `{near}(…)`" if near else f"write `{name} {{ … }}` with named fields"
            raise Wrong(
                f"only built-in functions are called; `{name}` is none of {', '.join(sorted(FUNCTIONS))}",
                advice,
                "E204",
            )
        if name in {"count", "params", "flops", "memory"}:
            return self.resolved_call(name, node, where)
        plain = [self.evaluate(each, where) for each in node.arguments if not isinstance(each, tree.Named)]
        pairs = [each for each in node.arguments if isinstance(each, tree.Named)]
        named = {each.name: self.evaluate(each.value, where) for each in pairs}
        if len(named) < len(pairs):
            raise Wrong(f"{name} is given an argument twice", "keep one of the two", "E205")
        if any(each.data is FAULTY for each in (*plain, *named.values())):
            return Value(FAULTY, span, lost=lost_in(plain))
        if name == "cycle":
            return Value(self._cycle(plain, named), span)
        if named or not plain or (name == "sqrt" and len(plain) != 1):
            raise Wrong(f"{name} takes {'one number' if name == 'sqrt' else 'numbers'}", f"write {name}(16)", "E205")
        numbers = [operators.number(each.data, name) for each in plain]
        results = {"sqrt": operators.square_root, "min": min, "max": max}
        exact: Fraction = results[name](numbers[0]) if name == "sqrt" else results[name](numbers)  # type: ignore[operator]
        return Value(operators.bounded(exact), span)

    def _cycle(self, plain: list[Value], named: dict[str, Value]) -> tuple[Value, ...]:
        if len(plain) != 1 or set(named) != {"to"} or not operators.is_layers(plain[0].data):
            raise Wrong("cycle takes layers and `to`", "write cycle(5 * local + global, to = 34)", "E205")
        total, items = operators.repeats(named["to"].data, "`to`"), _items(plain[0])
        if not items:
            raise Wrong("a cycle needs at least one layer", "write cycle(5 * local + global, to = 34)", "E211")
        return (items * (total // len(items) + 1))[:total]

    def resolved_call(self, name: str, node: tree.Call, where: Where) -> Value:
        """count, params, flops and memory read the resolved spec, which only a `require` has."""
        raise Wrong(
            f"{name} reads the resolved spec, which only `require` can", f"write require {name}(…) == …", "E204"
        )


_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})


def _items(value: Value) -> tuple[Value, ...]:
    return value.data if isinstance(value.data, tuple) else (value,)
