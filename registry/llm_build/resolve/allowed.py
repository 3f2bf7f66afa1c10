"""`# allow: W306` at the end of a line silences that warning on the line; several codes are divided by commas.

What stands behind the codes is the reason, for people. A comment that silences nothing is pointed out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import attrs

from llm_build.diagnostics import Diagnostic, Severity, Source, Span
from llm_build.language.values import similar

_COMMENT = re.compile(r'(?:[^"#]|"(?:[^"\\]|\\.)*+")*+(#.*)')
_ALLOW = re.compile(r"#\s*allow:")
_WORD = re.compile(r"[\s,]*([\w-]+)")
_CODE = re.compile(r"[A-Za-z][0-9]+")


@attrs.frozen
class Permit:
    """One code in such a comment; "" where the comment names none."""

    code: str
    span: Span


def unsilenced(found: Iterable[Diagnostic], source: Source, *, idle: bool) -> list[Diagnostic]:
    """What is left once each file's comments have silenced what they name.

    With `idle`, comments of `source` that silence nothing are pointed out.
    """
    sources = {id(each.span.source): each.span.source for each in found if each.span} | {id(source): source}
    permits = {key: _by_line(each) for key, each in sources.items() if "allow:" in each.text}
    if not permits:
        return list(found)
    used, left = set(), []
    for each in found:
        permit = _permit(each, permits)
        if permit is None:
            left.append(each)
        else:
            used.add(permit)
    for line in permits.get(id(source), {}).values():
        left += (_pointless(each) for each in line if each not in used and (idle or not _known(each.code)))
    return left


def _permit(diagnostic: Diagnostic, permits: dict[int, dict[int, list[Permit]]]) -> Permit | None:
    span = diagnostic.span
    if span is None or diagnostic.severity is not Severity.WARNING:
        return None
    line = permits.get(id(span.source), {}).get(span.line, [])
    return next((each for each in line if each.code == diagnostic.code), None)


def _by_line(source: Source) -> dict[int, list[Permit]]:
    lines: dict[int, list[Permit]] = {}
    start = 0
    for number, text in enumerate(source.text.split("\n"), 1):
        if "allow:" in text:
            lines[number] = list(_permits(source, start, text))
        start += len(text) + 1
    return lines


def _permits(source: Source, start: int, line: str) -> Iterator[Permit]:
    comment = _COMMENT.match(line)
    allow = _ALLOW.search(line, comment.start(1)) if comment else None
    if allow is None:
        return
    place, first = allow.end(), True
    while word := _WORD.match(line, place):
        if not first and not _CODE.fullmatch(word[1]):
            return
        yield Permit(word[1], Span(source, start + word.start(1), start + word.end(1)))
        place, first = word.end(), False
    if first:
        yield Permit("", Span(source, start + allow.start(), start + allow.end()))


def _pointless(permit: Permit) -> Diagnostic:
    if _known(permit.code):
        message = f"`# allow: {permit.code}` should stand where {permit.code} is said; it is not said of this line"
        return Diagnostic(code="W204", message=message, span=permit.span, help="delete it")
    return Diagnostic(
        code="W205",
        message=f"`# allow:` takes the codes of warnings; {_seen(permit.code)}",
        span=permit.span,
        help=_instead(permit.code),
    )


def _seen(code: str) -> str:
    if not code:
        return "none arrived"
    return f"{code} is an error" if _is_code(code) else f"`{code}` is none"


def _instead(code: str) -> str:
    if _is_code(code):
        return "mend the error"
    near = similar(code.upper(), _warnings()) if code else ""
    return f"write {near}" if near else "write such as `# allow: W202`"


def _known(code: str) -> bool:
    return code in _warnings()


def _is_code(code: str) -> bool:
    return code in _pages()


def _warnings() -> list[str]:
    return [each for each in _pages() if each.startswith("W")]


def _pages() -> list[str]:
    from llm_build.diagnostics.pages import codes  # only a comment that silences nothing needs them

    return codes()
