"""Diagnostics as SARIF, for code scanning.

Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0", 2020; numbers in brackets are its
sections.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from llm_build import __version__
from llm_build.diagnostics.diagnostic import Diagnostic, Span
from llm_build.diagnostics.pages import lead, page, title

VERSION = "2.1.0"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(diagnostics: Sequence[Diagnostic]) -> str:
    """A log with one run: a result for each diagnostic, and a rule for each code, with its page as help."""
    codes = sorted({each.code for each in diagnostics})
    run = {
        "tool": {"driver": {"name": "llm-build", "version": __version__, "rules": [_rule(each) for each in codes]}},
        # columns count characters, not the 16-bit units that are meant unless stated [3.14.17]
        "columnKind": "unicodeCodePoints",
        "results": [_result(each, codes) for each in diagnostics],
    }
    return json.dumps({"$schema": SCHEMA, "version": VERSION, "runs": [run]}, indent=2)


def _rule(code: str) -> dict[str, Any]:
    """A reportingDescriptor [3.49]."""
    text = page(code) or title(code)
    return {
        "id": code,
        "shortDescription": {"text": title(code)},
        "fullDescription": {"text": lead(code)},
        "help": {"text": text, "markdown": text},
        "defaultConfiguration": {"level": _LEVELS[code[0]]},
    }


_LEVELS = {"E": "error", "W": "warning", "N": "note"}


def _result(diagnostic: Diagnostic, codes: list[str]) -> dict[str, Any]:
    """A result [3.27]; the help goes on behind the message, since viewers show that alone."""
    text = f"{diagnostic.message}; help: {diagnostic.help}" if diagnostic.help else diagnostic.message
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": codes.index(diagnostic.code),
        "level": _LEVELS[diagnostic.code[0]],
        "message": _message(text),
    }
    location = _location(diagnostic.span) if diagnostic.span else {}
    if diagnostic.path:
        location["logicalLocations"] = [{"fullyQualifiedName": diagnostic.path}]
    if location:
        result["locations"] = [location]
    if diagnostic.related:
        result["relatedLocations"] = [
            {"id": index, **_location(each.span), "message": _message(each.message)}
            for index, each in enumerate(diagnostic.related)
        ]
    return result


def _message(text: str) -> dict[str, str]:
    """A message [3.11]: braces would be placeholders, so they are doubled [3.11.5]."""
    return {"text": text.replace("{", "{{").replace("}", "}}")}


def _location(span: Span) -> dict[str, Any]:
    artifact = {"uri": _uri(span.source.name)}
    place: dict[str, Any] = {"artifactLocation": artifact}
    if span.source.text:
        line, column = span.source.place(span.start)
        end_line, end_column = span.source.place(max(span.start, span.end))
        place["region"] = {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}
    return {"physicalLocation": place}


def _uri(name: str) -> str:
    """A URI reference: relative where the name is [3.4.3]."""
    return Path(name).as_uri() if Path(name).is_absolute() else quote(Path(name).as_posix())
