"""An explanation for people: a tree of values with their origins, or one value with the lines that made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llm_build.diagnostics import pointed, printable
from llm_build.explain.explanation import UNKNOWN, Explanation, Row
from llm_build.explain.steps import Input, Sources, Step, value_text

INDENT = "  "
WIDEST = 60
"""Where origins stand at the farthest; a value that is longer pushes its own away."""


def as_text(explanation: Explanation) -> str:
    """The whole spec as a tree; what a path led to with its steps, and a tree of what lies inside."""
    sources, blocks, tree = explanation.sources, [], list[Row]()
    for row in explanation.rows:
        if row.asked:
            blocks += [_tree(tree, sources)] if tree else []
            blocks.append("\n".join(_detail(row)))
            tree = []
        else:
            tree.append(row)
    blocks += [_tree(tree, sources)] if tree else []
    return printable("\n\n".join(blocks))


# --- a tree ---


def _tree(rows: Sequence[Row], sources: Sources) -> str:
    left = [_left(row, width) for row, width in zip(rows, _widths(rows), strict=True)]
    column = min(max(map(len, left)), WIDEST)
    return "\n".join(f"{text:<{column}}  {_origin(row, sources)}" for text, row in zip(left, rows, strict=True))


def _widths(rows: Sequence[Row]) -> list[int]:
    """How wide names are beside each row: `=` stands in one column among neighbours of one depth."""
    widths, place = [0] * len(rows), 0
    while place < len(rows):
        end = place
        while end < len(rows) and rows[end].depth == rows[place].depth:
            end += 1
        widest = max(len(row.name) for row in rows[place:end])
        widths[place:end] = [widest] * (end - place)
        place = end
    return widths


def _left(row: Row, width: int) -> str:
    return f"{INDENT * row.depth}{row.name:<{width}} = {_value(row)}"


def _value(row: Row) -> str:
    return "?" if row.value is UNKNOWN else value_text(row.value, row.spec)


def _origin(row: Row, sources: Sources) -> str:
    brief = sources.brief(row.steps)
    return f"{brief}; all as in {row.like}" if row.like else brief


# --- one value ---


def _detail(row: Row) -> Iterator[str]:
    yield f"{row.path} = {_value(row)}"
    if row.spec is not None:
        takes = row.spec.kind.describe() + (", or none" if row.spec.optional else "")
        yield f"{INDENT}takes {takes}"
        if row.spec.doc:
            yield f"{INDENT}{row.spec.doc}"
    if row.like:
        yield f"{INDENT}all as in {row.like}"
    for step in row.steps:
        yield from _step(step)


def _step(step: Step) -> Iterator[str]:
    yield step.words
    if step.span is not None:
        yield pointed(step.span)
    for each in step.inputs:
        yield f"{INDENT}{_input(each)}"


def _input(each: Input) -> str:
    where = ": ".join(filter(None, (each.path, each.brief)))
    return f"{each.name} = {value_text(each.value)}" + (f" ({where})" if where else "")
