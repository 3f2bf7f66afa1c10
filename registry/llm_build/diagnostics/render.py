"""Diagnostics as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llm_build.diagnostics.diagnostic import Diagnostic, Span

WIDTH = 160

# a spec from a stranger must not speak to the terminal: control characters are shown as pictures of themselves
_PICTURES = dict.fromkeys(range(0x7F, 0xA0), 0xFFFD)
_PICTURES |= {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}

Renderer = Callable[[Sequence[Diagnostic]], str]


def render(diagnostics: Sequence[Diagnostic], form: str = "text") -> str:
    """Render diagnostics; `form` is a key of `FORMATS`. The result has no newline at its end."""
    return FORMATS[form](diagnostics)


def _text(diagnostics: Sequence[Diagnostic]) -> str:
    return "\n\n".join("\n".join(_lines(each)) for each in diagnostics).translate(_PICTURES)


def _lines(diagnostic: Diagnostic) -> list[str]:
    lines = [f"{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}"]
    if diagnostic.span:
        lines += _snippet(diagnostic.span, "-->", "^")
    elif diagnostic.path:
        lines.append(f"  --> {diagnostic.path}")
    for related in diagnostic.related:
        lines += _snippet(related.span, ":::", "-", related.message)
    if diagnostic.help:
        lines.append(f"  help: {diagnostic.help}")
    return lines


def _snippet(span: Span, arrow: str, mark: str, message: str = "") -> list[str]:
    """The place, the line of text, and a row of marks under the stretch that is meant."""
    if not span.source.text:
        return [f" {arrow} {span.source.name}"]
    line, column = span.source.place(span.start)
    text = span.source.line(line)
    text, column, cut = _window(text, column)
    gutter = " " * len(str(line))
    width = max(1, min(span.end - span.start, len(text) - column + 1))
    indent = "".join("\t" if char == "\t" else " " for char in text[: column - 1])
    return [
        f"{gutter}{arrow} {span}",
        f"{gutter} |",
        f"{line} | {cut}{text}",
        f"{gutter} | {' ' * len(cut)}{indent}{mark * width} {message}".rstrip(),
    ]


def _window(text: str, column: int) -> tuple[str, int, str]:
    """A long line is cut to what stands around the column: the text, the column in it, and what stands for the rest."""
    if len(text) <= WIDTH:
        return text, column, ""
    start = max(0, column - 1 - WIDTH // 4)
    return text[start : start + WIDTH], column - start, "… " if start else ""


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


FORMATS: Mapping[str, Renderer] = {"text": _text, "json": _json}
