"""An explanation for programs."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

from llm_build.components import Config, FieldSpec, Share
from llm_build.components.kinds import Kind
from llm_build.diagnostics import Span, render
from llm_build.explain.explanation import UNKNOWN, Explanation, Row
from llm_build.explain.steps import Input, Step
from llm_build.language.values import described

BOUNDS = ("low", "high", "above", "below", "least", "most", "options", "slot")


def as_json(explanation: Explanation) -> dict[str, Any]:
    """The rows as plain data, each with its path, value, type, bounds and the steps that it comes from."""
    return {
        "spec": explanation.reading.source.name,
        "path": explanation.path,
        "values": [_row(row) for row in explanation.rows],
        "faults": json.loads(render(explanation.reading.errors, "json")),
    }


def _row(row: Row) -> dict[str, Any]:
    known = row.value is not UNKNOWN
    info = row.value.__component__ if isinstance(row.value, Config) else None
    return {
        "path": row.path,
        "value": _value(row.value) if known else None,
        "known": known,
        "component": info.id if info else None,
        **(_kind(row.spec) if row.spec else {}),
        "like": row.like or None,
        "origin": [_step(each) for each in row.steps],
    }


def _kind(spec: FieldSpec) -> dict[str, Any]:
    return {
        "type": _type(spec.kind),
        "takes": spec.kind.describe(),
        "bounds": _bounds(spec.kind),
        "optional": spec.optional,
        "doc": spec.doc,
    }


def _type(kind: Kind) -> str:
    return type(kind).__name__.removesuffix("Kind").lower()


def _bounds(kind: Kind) -> dict[str, Any]:
    found = {name: getattr(kind, name) for name in BOUNDS if getattr(kind, name, None) is not None}
    of = getattr(kind, "of", None)
    return {**found, "of": {"type": _type(of), "bounds": _bounds(of)}} if of is not None else found


def _value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_value(each) for each in value]
    if isinstance(value, Config):
        return value.__component__.name
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else float(value)
    if isinstance(value, Share):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else described(value)


def _step(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": step.kind}
    if step.name:
        found["name"] = step.name
    if step.span:
        found |= _place(step.span)
    if step.inputs:
        found["inputs"] = [_input(each) for each in step.inputs]
    return found


def _place(span: Span) -> dict[str, Any]:
    line, column = span.source.place(span.start)
    return {"file": span.source.name, "line": line, "column": column, "text": span.source.text[span.start : span.end]}


def _input(each: Input) -> dict[str, Any]:
    return {"name": each.name, "value": _value(each.value), "path": each.path or None}
