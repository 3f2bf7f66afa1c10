"""What stands below each other in a formatted text: the `=` of neighbouring fields, and comments behind code.

- Lines that follow each other (comments between them do not count), each with one field, have their `=` in one column.
  An empty line ends that, and so does a value of several lines; the first line of such a value, and one beside
  `name { … }`, joins only where it stands in the column of its neighbour already. Heads wider than `WIDE` stay out.
- A comment behind code keeps its column, two spaces off at least; comments that stood below each other still do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import attrs

WIDE = 40
GAP = 2


class Word(NamedTuple):
    """A token as it came: whether white space stood before it, its column, and the bracket that is open around it."""

    kind: str
    text: str
    spaced: bool
    column: int
    inside: str


@attrs.define(eq=False, repr=False)
class Line:
    """A line: its words as they came, and what becomes of them."""

    words: list[Word] = attrs.field(factory=list)
    comment: str = ""
    comment_column: int = 0
    indent: int = 0
    goes_on: bool = False
    """Whether it goes on with the value of the line above."""
    anchor: int | None = None
    """The word that is aligned: `=`, or the brace of `name { … }`, which never moves itself."""
    opens: bool = False
    """Whether its value ends on another line."""
    head: str = ""
    tail: str = ""
    gap: int = 0

    @property
    def empty(self) -> bool:
        return not self.words and not self.comment

    def begins(self, kind: str) -> bool:
        return bool(self.words) and self.words[0].kind == kind

    def ends(self, kind: str) -> bool:
        return bool(self.words) and self.words[-1].kind == kind

    def code(self) -> str:
        return f"{' ' * self.indent}{self.head}{' ' * self.gap}{self.tail}"

    def text(self) -> str:
        """The line as it is written; with a comment behind code, `comment_column` is where that stands."""
        if not self.comment:
            return self.code()
        code = self.code()
        return code + " " * (self.comment_column - len(code) if self.words else 0) + self.comment


def find_anchor(line: Line, opens: bool) -> None:
    """Find what is aligned in a line, if it holds one field; `opens` where the value begins on the next line."""
    depth, anchor = 0, None
    for index, word in enumerate(line.words):
        depth -= word.kind == "CLOSE"
        alone = word.kind != "COMMA" or depth > 0 or index == len(line.words) - 1
        if depth < 0 or not alone:
            return
        if anchor is None and depth == 0 and word.text in {"=", "{"}:
            anchor = index
        depth += word.kind == "OPEN"
    if anchor and not line.goes_on and line.words[anchor - 1].kind != "BAD":
        line.anchor, line.opens = anchor, opens or depth > 0


def align_values(lines: Iterable[Line]) -> None:
    """Put the `=` of neighbouring fields below each other."""
    for group in (part for each in _groups(lines) for part in _alike(each)):
        column = _wanted(group)
        for line in group:
            line.gap = column - len(line.head) if _kind(line) == "=" else 1


def _wanted(group: Sequence[Line]) -> int:
    """The column behind the widest head."""
    return max(len(line.head) for line in group) + 1


def _alike(group: Sequence[Line]) -> Iterator[Sequence[Line]]:
    """A group whole, or in parts where it would leave a brace behind, which never moves: seen again they would part."""
    braces = [line for line in group if _kind(line) == "{"]
    if all(len(line.head) + 1 == _wanted(group) for line in braces):
        yield group
        return
    part: list[Line] = []
    for line in group:
        if _kind(line) == "=":
            part.append(line)
            continue
        yield from ([part] if part else [])
        yield [line]
        part = []
    yield from ([part] if part else [])


def _groups(lines: Iterable[Line]) -> Iterator[list[Line]]:
    group: list[Line] = []
    for line in lines:
        if line.comment and not line.words:
            continue
        if group and not _joined(group[-1], line):
            yield group
            group = []
        if line.anchor is not None:
            group.append(line)
    if group:
        yield group


def _joined(above: Line, line: Line) -> bool:
    if (
        line.anchor is None
        or above.opens
        or above.indent != line.indent
        or max(len(above.head), len(line.head)) >= WIDE
    ):
        return False
    if above.words[0].text != line.words[0].text and {above.words[0].text, line.words[0].text} & {"let", "param"}:
        return False
    simple = not line.opens and _kind(above) == _kind(line) == "="
    return simple or _column(above) == _column(line)


def _kind(line: Line) -> str:
    assert line.anchor is not None
    return line.words[line.anchor].text


def _column(line: Line) -> int:
    assert line.anchor is not None
    return line.words[line.anchor].column - line.words[0].column


def align_comments(lines: Iterable[Line]) -> None:
    """Give each comment behind code its column: the one that it had, or one further right where the code needs it."""
    runs = groupby(lines, lambda line: line.comment_column if line.words and line.comment else -1)
    for column, run in runs:
        members = list(run) if column >= 0 else []
        needed = max((len(line.code()) + GAP for line in members), default=0)
        for line in members:
            line.comment_column = max(column, needed)
