"""What a requirement that does not hold hangs on: the values that it reads, and where they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llm_build.components import Config, field_specs
from llm_build.diagnostics import Related
from llm_build.language import tree
from llm_build.language.expressions import Evaluator, Where
from llm_build.language.words import ROOTS
from llm_build.resolve.rules import Place

SHOWN = 3


def to_change(node: tree.Expr, where: Where, evaluator: Evaluator, spec: Config | None) -> str:
    """What to write instead, for help: `model.dim`, or what a value that nobody stated comes from."""
    names: dict[str, str] = {}
    for each in _references(node):
        if each.steps[0].name in ROOTS:
            names[_written(each, where)] = _origin(each, where, evaluator, spec)
        elif evaluator.lookup(each.steps[0].name, where) is not None:
            names[_written(each, where)] = ""
    if not names:
        return "change the spec or the requirement"
    listed = ", ".join(f"`{name}`{origin}" for name, origin in list(names.items())[:SHOWN])
    return f"change {listed} or the requirement"


def set_where(node: tree.Expr, where: Where, evaluator: Evaluator, place: Place | None) -> Iterator[Related]:
    """Where what a condition reads was set, as far as somebody wrote it."""
    seen: dict[str, Related] = {}
    for each in _references(node):
        name = _written(each, where)
        binding = evaluator.lookup(each.steps[0].name, where)
        if binding is not None:
            seen[name] = Related(f"`{binding.node.name}` set here", binding.place)
        elif place is not None and each.steps[0].name in ROOTS:
            span, exact = place(name.replace(" ", ""))
            if span is not None and exact:
                seen[name] = Related(f"`{name}` set here", span)
    return iter(list(seen.values())[:SHOWN])


def _references(node: Any) -> Iterator[tree.Reference]:
    """Every reference of an expression, in its order, without recursion."""
    stack = [node]
    while stack:
        each = stack.pop()
        if isinstance(each, tree.Reference) and each.slot is None:
            yield each
        elif isinstance(each, tree.Call):
            stack += reversed(each.arguments)
        elif isinstance(each, tuple):
            stack += reversed(each)


def _written(node: tree.Reference, where: Where) -> str:
    return where.file.source.text[node.start : node.end]


def _origin(node: tree.Reference, where: Where, evaluator: Evaluator, spec: Config | None) -> str:
    """Where the value at a path comes from, in brackets, if nobody stated it there. The path was read before."""
    held: Any = spec
    for step in node.steps[:-1]:
        held = getattr(held, step.name, None)
        if step.selector is not None and isinstance(held, tuple):
            held = held[evaluator.selection(step.selector, where)[0]]
    name = node.steps[-1].name
    if not isinstance(held, Config) or name not in field_specs(held):
        return ""
    origin = held.origin(name)
    told = {"derived": origin.detail, "inherited": f"inherited from {origin.detail}", "default": "a default"}
    return f" ({told[origin.kind]})" if told.get(origin.kind) else ""
