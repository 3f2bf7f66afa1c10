"""Diagnostics as text for people: the message, the line with marks under what is meant, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from llm_build.diagnostics.diagnostic import Diagnostic, Severity, Span

WIDTH = 160

# a spec from a stranger must not speak to the terminal: control characters are shown as pictures of themselves
_PICTURES = dict.fromkeys(range(0x7F, 0xA0), 0xFFFD)
_PICTURES |= {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}

_BOLD, _RED, _GREEN, _YELLOW, _BLUE, _CYAN = "1", "1;31", "1;32", "1;33", "1;34", "1;36"
_COLOURS = {Severity.ERROR: _RED, Severity.WARNING: _YELLOW, Severity.NOTE: _CYAN}

Line = tuple[tuple[str, str], ...]
"""Pieces of a line, each with its colour; "" is none."""


def text(diagnostics: Sequence[Diagnostic], *, colour: bool = False) -> str:
    """One block for each diagnostic; with `colour`, in a terminal's escape sequences (ECMA-48, section 8.3.117)."""
    return "\n\n".join("\n".join(_shown(each, colour) for each in _lines(it)) for it in diagnostics)


def pointed(span: Span) -> str:
    """A place, its line and marks under it, as a diagnostic shows them."""
    return "\n".join(_shown(line, False) for line in _snippet(span, "-->", "^", ""))


def printable(text: str) -> str:
    """A text of a spec, with what could speak to the terminal shown as pictures."""
    # most texts have nothing of the kind, and a file can have a hundred thousand faults
    return text if text.isascii() and text.isprintable() else text.translate(_PICTURES)


def _shown(line: Line, colour: bool) -> str:
    pieces = ((printable(piece), code) for piece, code in line)
    return "".join(f"\x1b[{code}m{piece}\x1b[0m" if colour and code and piece else piece for piece, code in pieces)


def _lines(diagnostic: Diagnostic) -> Iterator[Line]:
    colour = _COLOURS[diagnostic.severity]
    yield (f"{diagnostic.severity}[{diagnostic.code}]", colour), (f": {diagnostic.message}", _BOLD)
    if diagnostic.span:
        yield from _snippet(diagnostic.span, "-->", "^", colour)
    elif diagnostic.path:
        yield ("  --> ", _BLUE), (diagnostic.path, "")
    for related in diagnostic.related:
        yield from _snippet(related.span, ":::", "-", _BLUE, related.message)
    if diagnostic.help:
        yield ("  help", _GREEN), (f": {diagnostic.help}", "")


def _snippet(span: Span, arrow: str, mark: str, colour: str, message: str = "") -> Iterable[Line]:
    """The place, the line of text, and a row of marks under the stretch that is meant."""
    if not span.source.text:
        return [((f" {arrow} ", _BLUE), (span.source.name, ""))]
    line, column = span.source.place(span.start)
    text = span.source.line(line)
    text, column, cut = _window(text, column)
    gutter = " " * len(str(line))
    width = max(1, min(span.end - span.start, len(text) - column + 1))
    indent = "".join("\t" if char == "\t" else " " for char in text[: column - 1])
    return [
        ((f"{gutter}{arrow} ", _BLUE), (str(span), "")),
        ((f"{gutter} |", _BLUE),),
        ((f"{line} |", _BLUE), (f" {cut}{text}", "")),
        ((f"{gutter} |", _BLUE), (f" {' ' * len(cut)}{indent}", ""), (f"{mark * width} {message}".rstrip(), colour)),
    ]


def _window(text: str, column: int) -> tuple[str, int, str]:
    """A long line is cut to what stands around the column: the text, the column in it, and what stands for the rest."""
    if len(text) <= WIDTH:
        return text, column, ""
    start = max(0, column - 1 - WIDTH // 4)
    return text[start : start + WIDTH], column - start, "… " if start else ""
