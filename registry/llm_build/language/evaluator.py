"""A chain of files → the root of a spec: bind names, evaluate, and apply what each file and each `--set` changes.

Order: the base's fields, this file's, then `--set` from left to right. A child's `param` gives the base's param another
value, and what depends on it follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from llm_build.diagnostics import Diagnostic, Related, Source, Span
from llm_build.language import tree
from llm_build.language.amend import Amender, read_body
from llm_build.language.doubts import certain
from llm_build.language.expressions import Evaluator, Where
from llm_build.language.files import Chain, read_chain
from llm_build.language.parser import parse
from llm_build.language.scope import Binding, FileScope
from llm_build.language.values import FAULTY, Component, Value
from llm_build.language.words import FUNCTIONS, ROOTS


@attrs.frozen(eq=False, repr=False)
class Evaluated:
    """What a spec says: its root, its requirements, and every let and param. `complete` and `doubts` as in `Chain`."""

    root: Value
    requires: tuple[tuple[tree.Require, Where], ...]
    evaluator: Evaluator
    bindings: tuple[Binding, ...]
    faults: tuple[Diagnostic, ...]
    complete: bool
    doubts: Mapping[Source, tuple[tree.Doubt, ...]]


def evaluate(source: Source, settings: Sequence[str] = ()) -> Evaluated:
    """Evaluate a source and what it extends, then `settings` ("path=expression") from left to right."""
    chain = read_chain(source)
    files = [_bind(each, level, chain.meant) for level, each in enumerate(chain.files)]
    params = {name for file in files for name, it in file.bindings.items() if it.is_param}
    sets = [_read_setting(text, len(files) + index, params, chain) for index, text in enumerate(settings)]
    evaluator = Evaluator([*files, *sets])
    for file in evaluator.files:
        for binding in file.bindings.values():
            evaluator.value_of(binding)
    span = Span(source, 0, min(1, len(source.text)))
    root = Value(Component(None, {}, span), span)
    for file in files:
        root = _apply(evaluator, root, file, chain)
    for file in sets:
        chain.meant += _displaced(evaluator, root, file)
        root = _apply(evaluator, root, file, chain)
    requires = tuple(
        (each, Where(file, index))
        for file in files
        for index, each in enumerate(file.statements)
        if isinstance(each, tree.Require)
    )
    bindings = tuple(each for file in evaluator.files for each in file.bindings.values())
    meant = certain([*chain.meant, *evaluator.faults], chain.doubts)
    return Evaluated(root, requires, evaluator, bindings, (*chain.faults, *meant), chain.complete, chain.doubts)


def _apply(evaluator: Evaluator, root: Value, file: FileScope, chain: Chain) -> Value:
    """The root with what a file changes; as it was where that nests too deep, which is reported."""
    entries = [
        (each, Where(file, index))
        for index, each in enumerate(file.statements)
        if isinstance(each, (tree.Assign, tree.Merge))
    ]
    changed = Amender(evaluator).apply(root, read_body(evaluator, entries), root.span)
    if changed.data is FAULTY:
        chain.complete = False
        return root
    return changed


def _bind(read: tuple[Source, tree.File], level: int, faults: list[Diagnostic]) -> FileScope:
    """Bind every let and param of a file. A name that is reserved or set twice is a fault."""
    source, file = read
    scope = FileScope(source, file.statements, level)
    for index, each in enumerate(file.statements):
        if not isinstance(each, (tree.Let, tree.Param)):
            continue
        place = scope.span(each.place)
        earlier = scope.bindings.get(each.name)
        if each.name in FUNCTIONS or each.name in ROOTS:
            kind = "a function" if each.name in FUNCTIONS else "a field of every spec"
            faults.append(
                Diagnostic(
                    code="E203",
                    message=f"`{each.name}` is {kind}, so no let or param may be named so",
                    span=place,
                    help=f"choose another name: `{each.name}_`",
                )
            )
        elif earlier is not None:
            faults.append(
                Diagnostic(
                    code="E203",
                    message=f"`{each.name}` is set twice",
                    span=place,
                    related=(Related("set here first", earlier.place),),
                    help="choose another name for one of them",
                )
            )
        else:
            scope.bindings[each.name] = Binding(each, index, level, place, scope.span(each.value))
    return scope


# --- settings from the command line ---


def _read_setting(text: str, level: int, params: set[str], chain: Chain) -> FileScope:
    """`--set path=expression` as a small file that extends the spec."""
    source = Source("--set", text)
    node, faults = parse(source, "assign")
    if faults:
        node = _mended(source, faults[0], chain)
    if node is None:
        chain.complete = False
        return FileScope(source, (), level)
    statement = _as_statement(node, params)
    scope = FileScope(source, (statement,), level)
    if isinstance(statement, tree.Param):
        place = scope.span(statement.place)
        scope.bindings[statement.name] = Binding(statement, 0, level, place, scope.span(statement.value))
    return scope


def _mended(source: Source, first: Diagnostic, chain: Chain) -> tree.Assign | None:
    """What a setting with syntax faults says, if it is one assignment; all of its faults are reported.

    A file is read in spite of its faults; what it may hold beyond one assignment is the fault that was found `first`.
    """
    file, faults = parse(source)
    one = file.whole and len(file.statements) == 1 and isinstance(file.statements[0], tree.Assign)
    known = [each for each in faults if not _at(each, first)]
    chain.faults += [first, *known] if len(known) < len(faults) or not (one and faults) else known
    chain.settings.append((source, file))
    return file.statements[0] if one and faults else None


def _at(one: Diagnostic, other: Diagnostic) -> bool:
    return one.span is not None and other.span is not None and one.span.start == other.span.start


def _as_statement(node: tree.Assign, params: set[str]) -> tree.Statement:
    steps = node.target.steps
    if node.target.simple and steps[0].name in params:
        return tree.Param(name=steps[0].name, place=node.target, value=node.value, start=node.start, end=node.end)
    entry: tree.Assign | tree.Merge = node._replace(target=_single(steps[-1]))
    for step in reversed(steps[:-1]):
        body = tree.Body(entries=(entry,), start=node.start, end=node.end)
        entry = tree.Merge(target=_single(step), body=body, start=step.start, end=node.end)
    return entry


def _single(step: tree.Step) -> tree.Reference:
    return tree.Reference(steps=(step,), start=step.start, end=step.end)


def _displaced(evaluator: Evaluator, root: Value, file: FileScope) -> list[Diagnostic]:
    """A warning where `--set` replaces the use of a param that is used elsewhere too."""
    value, entry = root, next(iter(file.statements), None)
    while isinstance(entry, (tree.Merge, tree.Assign)) and isinstance(value.data, Component):
        setting = value.data.fields.get(entry.target.name)
        if setting is None:
            return []
        value, entry = setting.value, entry.body.entries[0] if isinstance(entry, tree.Merge) else None
    definitions = evaluator.params.get(value.via, [])
    if entry is not None or not definitions:
        return []
    uses = [use for each in definitions for use in each.uses if use != value.span]
    if not uses:
        return []
    return [
        Diagnostic(
            code="W201",
            message=f"this replaces one use of the param `{value.via}`, which is used elsewhere too",
            span=file.span(file.statements[0]),
            related=tuple(Related("used here", use) for use in uses[:3]),
            help=f"to change them all: --set {value.via}=…",
        )
    ]
