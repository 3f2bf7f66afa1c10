"""The forms that diagnostics are rendered in: text for people, and JSON, SARIF and GitHub's commands for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llm_build.diagnostics.diagnostic import Diagnostic, Span
from llm_build.diagnostics.text import text

Renderer = Callable[[Sequence[Diagnostic]], str]


def render(diagnostics: Sequence[Diagnostic], form: str = "text", *, colour: bool = False) -> str:
    """Render diagnostics; `form` is a key of `FORMATS`. The result has no newline at its end.

    `colour` is for text that goes to a terminal; the other forms have none.
    """
    return text(diagnostics, colour=colour) if form == "text" else FORMATS[form](diagnostics)


def _json(diagnostics: Sequence[Diagnostic]) -> str:
    return json.dumps([_plain(each) for each in diagnostics], indent=2)


def _plain(diagnostic: Diagnostic) -> dict[str, Any]:
    return {
        "code": diagnostic.code,
        "severity": str(diagnostic.severity),
        "message": diagnostic.message,
        "path": diagnostic.path,
        "help": diagnostic.help,
        "span": _plain_span(diagnostic.span) if diagnostic.span else None,
        "related": [{"message": each.message, "span": _plain_span(each.span)} for each in diagnostic.related],
    }


def _plain_span(span: Span) -> dict[str, Any]:
    line, column = span.source.place(span.start)
    end_line, end_column = span.source.place(max(span.start, span.end))
    return {
        "file": span.source.name,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }


def _sarif(diagnostics: Sequence[Diagnostic]) -> str:
    from llm_build.diagnostics.sarif import sarif  # reads the pages, which no other form needs

    return sarif(diagnostics)


def _github(diagnostics: Sequence[Diagnostic]) -> str:
    from llm_build.diagnostics.github import github

    return github(diagnostics)


FORMATS: Mapping[str, Renderer] = {"text": text, "json": _json, "sarif": _sarif, "github": _github}
