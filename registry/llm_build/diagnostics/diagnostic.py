"""A diagnostic: a stable code, what is wrong, where, and what to write instead."""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum

import attrs


class Severity(StrEnum):
    """An error stops the work; a warning and a note do not."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@attrs.frozen(eq=False, repr=False)
class Source:
    """A text and the name that it is shown under. `path` is None for text that came from no file."""

    name: str
    text: str = attrs.field(repr=False)
    path: str | None = None
    _starts: list[int] = attrs.field(init=False, repr=False)

    @_starts.default
    def _line_starts(self) -> list[int]:
        return [0, *(i + 1 for i, char in enumerate(self.text) if char == "\n")]

    def place(self, offset: int) -> tuple[int, int]:
        """The line and the column of an offset, both counted from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line, counted from 1, without its end."""
        start = self._starts[number - 1]
        end = self._starts[number] - 1 if number < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r")


@attrs.frozen
class Span:
    """A stretch of a source: `start` is included, `end` is not; both are offsets in characters."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.place(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.place(self.start)[1]

    def to(self, other: Span) -> Span:
        """From the start of this span to the end of another."""
        return Span(self.source, self.start, max(self.end, other.end))

    def __str__(self) -> str:
        line, column = self.source.place(self.start)
        return f"{self.source.name}:{line}:{column}"


@attrs.frozen
class Related:
    """Another place that explains the fault, with what happened there ("`heads` set here")."""

    message: str
    span: Span


@attrs.frozen(kw_only=True)
class Diagnostic:
    """One thing to say about a spec.

    `code` never changes its meaning (E… error, W… warning, N… note); `message` says what must hold and what arrived;
    `help` says what to write instead; `span` is None for a config that was written in Python, and `path` names the
    place in the config (`model.layers[0].attention.heads`) where it is known.
    """

    code: str
    message: str
    span: Span | None = None
    path: str = ""
    help: str = ""
    related: tuple[Related, ...] = ()

    @property
    def severity(self) -> Severity:
        return {"E": Severity.ERROR, "W": Severity.WARNING, "N": Severity.NOTE}[self.code[0]]

    def __str__(self) -> str:
        where = str(self.span) if self.span else self.path
        text = f"{where}: " if where else ""
        text += f"{self.severity}[{self.code}]: {self.message}"
        return f"{text} (help: {self.help})" if self.help else text
