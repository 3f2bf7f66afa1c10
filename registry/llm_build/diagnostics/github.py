"""Diagnostics as workflow commands, which GitHub Actions shows beside the lines of a change.

Source: GitHub Docs, "Workflow commands for GitHub Actions"; what is escaped is that of actions/toolkit,
packages/core/src/command.ts.
"""

from __future__ import annotations

from collections.abc import Sequence

from llm_build.diagnostics.diagnostic import Diagnostic, Severity

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def github(diagnostics: Sequence[Diagnostic]) -> str:
    """One line for each diagnostic."""
    return "\n".join(_command(each) for each in diagnostics)


def _command(diagnostic: Diagnostic) -> str:
    properties = {**_place(diagnostic), "title": f"llm-build {diagnostic.code}"}
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{_COMMANDS[diagnostic.severity]} {written}::{_data(_text(diagnostic))}"


def _place(diagnostic: Diagnostic) -> dict[str, str]:
    span = diagnostic.span
    if span is None:
        return {}
    if not span.source.text:
        return {"file": span.source.name}
    line, column = span.source.place(span.start)
    # GitHub takes columns only where both ends are on one line, and its last column is included
    end = span.source.place(max(span.start, span.end - 1))
    columns = {"col": str(column), "endColumn": str(end[1])} if end[0] == line else {}
    return {"file": span.source.name, "line": str(line), "endLine": str(end[0]), **columns}


def _text(diagnostic: Diagnostic) -> str:
    bare = diagnostic.path and not diagnostic.span
    lines = [f"{diagnostic.path}: {diagnostic.message}" if bare else diagnostic.message]
    lines += [f"{each.message}: {each.span}" for each in diagnostic.related]
    if diagnostic.help:
        lines.append(f"help: {diagnostic.help}")
    return "\n".join(lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
