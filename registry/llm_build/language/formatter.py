"""The one style of `.llm` files. Only white space changes, so a text with faults is formatted too.

- Lines stay as they are broken; a line is indented by two spaces for each line around it whose bracket is open, and by
  two more where the one before ends in `=` or an operator. Where brackets do not fit, indentation stays as it is: it
  tells where one is missing.
- One space around `=`, operators and braces, and behind a comma; none inside `( )` and `[ ]`.
- At most one empty line, none at the rim of a bracket or of the file; lines end in a newline, the last one too.
- `=` and comments are aligned as `language.aligning` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile, zip_longest

from llm_build.errors import FormatError
from llm_build.language.aligning import Line, Word, align_comments, align_values, find_anchor
from llm_build.language.scanner import kept, lexemes
from llm_build.language.values import DEPTH_LIMIT

TAB = 8
STEP = 2
STATEMENTS = frozenset({"llm", "extends", "let", "param", "require"})
_INFIX = frozenset({"and", "or", "not"})
_WORDS = _INFIX | STATEMENTS | {"true", "false", "none", "default"}
_PAIRS = {")": "(", "]": "[", "}": "{"}


def format_text(text: str) -> str:
    """The text in the one style. Raises `FormatError` rather than change anything but white space."""
    lines = _without_needless(_read(text))
    _indent(lines)
    for line in lines:
        _render(line)
    align_values(lines)
    align_comments(lines)
    made = "".join(f"{line.text()}\n" for line in lines)
    if any(new != old for new, old in zip_longest(kept(made), kept(text))):
        raise FormatError("formatting must change white space alone, but would change more: please report this text")
    return made


# --- lines ---


def _read(text: str) -> list[Line]:
    """The lines of a text: their words, and the column of each as it came."""
    lines, column, spaced, brackets = [Line()], 0, False, [""]
    for kind, word in lexemes(text):
        if kind == "NEWLINE":
            lines.append(Line())
            column, spaced = 0, False
            continue
        if kind == "SPACE":
            column, spaced = _behind(word, column), True
            continue
        if kind == "COMMENT":
            lines[-1].comment, lines[-1].comment_column = word.rstrip(" \t\r"), column
        else:
            _count_brackets(brackets, word)
            lines[-1].words.append(Word(kind, word, spaced, column, brackets[-1]))
        column, spaced = column + len(word), False
    return lines


def _behind(space: str, column: int) -> int:
    for each in space:
        column += TAB - column % TAB if each == "\t" else 1
    return column


def _count_brackets(brackets: list[str], word: str) -> None:
    if word in _PAIRS.values():
        brackets.append(word)
    elif word in _PAIRS and brackets[-1] == _PAIRS[word]:
        brackets.pop()


def _without_needless(lines: Sequence[Line]) -> list[Line]:
    """Without the empty lines that are one too many, or stand at the rim of a bracket or of the text."""
    left: list[Line] = []
    empty = False
    for line in lines:
        if line.empty:
            empty = True
            continue
        if empty and left and not left[-1].ends("OPEN") and not line.begins("CLOSE"):
            left.append(Line())
        left.append(line)
        empty = False
    return left


def _indent(lines: Sequence[Line]) -> None:
    """How far in each line stands: as its brackets say, or as it came where they do not fit."""
    levels = _Levels()
    for line in lines:
        if not line.empty:
            line.goes_on, line.indent = levels.goes_on, STEP * levels.enter(line)
    if levels.fit and not levels.open:
        return
    for line in lines:
        line.indent = line.words[0].column if line.words else line.comment_column


class _Levels:
    """The brackets that are open, each with the level of its line. `fit` turns False where one closes another's."""

    def __init__(self) -> None:
        self.open: list[tuple[str, int]] = []
        self.fit = True
        self.goes_on = False

    def enter(self, line: Line) -> int:
        """The level of a line; one that begins with closing brackets stands where the last of them was opened."""
        closers = list(takewhile(lambda word: word.kind == "CLOSE", line.words))
        closed = [self._close(word.text) for word in closers]
        level = closed[-1] if closed else (self.open[-1][1] + 1 if self.open else 0) + self.goes_on
        # more than a text without faults can have would only let a hostile one grow
        level = min(level, DEPTH_LIMIT)
        for word in line.words[len(closers) :]:
            if word.kind == "OPEN":
                self.open.append((word.text, level))
            elif word.kind == "CLOSE":
                self._close(word.text)
        if line.words:
            self.goes_on = _goes_on(line.words[-1])
        return level

    def _close(self, bracket: str) -> int:
        self.fit = self.fit and bool(self.open) and self.open[-1][0] == _PAIRS[bracket]
        return self.open.pop()[1] if self.fit else 0


def _goes_on(last: Word) -> bool:
    """Whether the line below goes on with this one's value."""
    return last.kind in {"OPERATOR", "MINUS", "EQUAL"} or last.text in _INFIX


# --- words ---


def _render(line: Line) -> None:
    """The text of a line, cut before what is to be aligned."""
    pieces, unary = [], False
    for index, word in enumerate(line.words):
        pieces += ["" if index == 0 or unary or _tight(line.words, index) else " ", word.text]
        unary = word.kind == "MINUS" and (index == 0 or not _is_value(line.words[index - 1]))
    find_anchor(line, bool(line.words) and _goes_on(line.words[-1]))
    if line.anchor is None:
        line.tail = "".join(pieces)
    else:
        line.head, line.tail = "".join(pieces[: 2 * line.anchor]), "".join(pieces[2 * line.anchor + 1 :])


def _is_value(word: Word) -> bool:
    if word.kind == "NAME":
        return word.text not in _INFIX | STATEMENTS
    return word.kind in {"NUMBER", "STRING", "QUALIFIED", "CLOSE", "BAD"}


def _tight(words: Sequence[Word], index: int) -> bool:
    """Whether no space stands before a word. Where one is taken away, two words must not become one token."""
    left, right = words[index - 1], words[index]
    if "BAD" in (left.kind, right.kind):
        return not right.spaced
    if left.text in {"(", "["} or right.text in {")", "]", ","}:
        return True
    if right.kind == "COLON":
        return _in_selector(words, index)
    if left.kind == "COLON":
        return _in_selector(words, index - 1)
    if right.text in {"(", "["}:
        return _is_name(left) and left.text not in _WORDS
    if right.kind == "DOT":
        return left.kind in {"NAME", "STRING", "CLOSE", "DOT"}
    return left.kind == "DOT" and right.kind == "NAME"


def _in_selector(words: Sequence[Word], index: int) -> bool:
    """Whether a colon is that of `[0:3]`; between two names it would make them one."""
    names = [_is_name(each) for each in words[index - 1 : index + 2 : 2]]
    return words[index].inside == "[" and names != [True, True]


def _is_name(word: Word) -> bool:
    return word.kind in {"NAME", "QUALIFIED"}
