"""What names advise against: a let or a param that nothing uses, and a let that hides a component."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from llm_build.diagnostics import Diagnostic
from llm_build.language import tree
from llm_build.language.evaluator import Evaluated
from llm_build.language.scope import Binding, FileScope
from llm_build.registry import Registry


def advice(evaluated: Evaluated, registry: Registry) -> list[Diagnostic]:
    """Warnings about the lets and params of a spec and of what it extends."""
    files = evaluated.evaluator.files
    own = [each for each in evaluated.bindings if each.place.source.name != "--set"]
    # an evaluated name knows its uses; a name that only a `require` or a faulty statement holds does not
    doubtful = [each for each in own if not each.uses]
    found = [_unused(each) for each in doubtful if not _written(each, files)]
    for each in own:
        slots = registry.slots_of(each.node.name) if not each.is_param else []
        if slots and not _amends_itself(each.node):
            found.append(_hides(each, slots[0]))
    return found


def _unused(binding: Binding) -> Diagnostic:
    name, kind = binding.node.name, "param" if binding.is_param else "let"
    message = f"the {kind} `{name}` should be used somewhere; nothing uses it"
    return Diagnostic(code="W202", message=message, span=binding.place, help="use it, or delete it")


def _hides(binding: Binding, slot: str) -> Diagnostic:
    name = binding.node.name
    return Diagnostic(
        code="W203",
        message=f"a let should not have the name of a component; this one hides `{slot}:{name}`",
        span=binding.place,
        help=f"choose another name, such as `{name}_`",
    )


def _amends_itself(node: tree.Let | tree.Param) -> bool:
    """Whether a name still means the component that it hides: `let rms = rms { eps = 1e-5 }`."""
    value = node.value
    while isinstance(value, tree.Amended):
        value = value.base
    return isinstance(value, tree.Reference) and value.name == node.name


def _written(binding: Binding, files: Iterable[FileScope]) -> bool:
    """Whether the name stands in a statement other than its own: of its file for a let, of any for a param."""
    for file in files:
        if not binding.is_param and file.level != binding.level:
            continue
        for index, each in enumerate(file.statements):
            if (file.level, index) != (binding.level, binding.index) and binding.node.name in _names(each):
                return True
    return False


def _names(statement: tree.Statement) -> Iterator[str]:
    """Every bare name that an expression of a statement begins with, at any depth, without recursion."""
    stack: list[Any] = [statement]
    while stack:
        node = stack.pop()
        if isinstance(node, (tree.Assign, tree.Merge)):
            # the name of a field is no use of a let; what its brackets hold may be one
            stack += [step.selector for step in node.target.steps]
            stack.append(node.value if isinstance(node, tree.Assign) else node.body)
        elif isinstance(node, (tree.Let, tree.Param)):
            stack.append(node.value)
        elif isinstance(node, tree.Reference):
            if node.slot is None:
                yield node.steps[0].name
            stack += [step.selector for step in node.steps]
        elif isinstance(node, tree.Call):
            stack += node.arguments
        elif isinstance(node, tuple):
            stack += node
