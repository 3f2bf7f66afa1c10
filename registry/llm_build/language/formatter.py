"""The one style of `.llm` files. Only white space changes, so a text with faults is formatted too.

- Lines stay as they are broken; a line is indented by two spaces for each line around it whose bracket is open, and by
  two more where the one before ends in `=` or an operator. A statement begins at the margin, also behind a brace that
  was never closed.
- One space around `=`, operators and braces, and behind a comma; none inside `( )` and `[ ]`.
- At most one empty line, none at the rim of a bracket or of the file; lines end in a newline, the last one too.
- `=` and comments are aligned as `language.aligning` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from llm_build.errors import FormatError
from llm_build.language.aligning import Line, Word, align_comments, align_values, find_anchor
from llm_build.language.scanner import kept, lexemes
from llm_build.language.scope import ROOTS
from llm_build.language.values import DEPTH_LIMIT

TAB = 8
INDENT = "  "
STATEMENTS = frozenset({"llm", "extends", "let", "param", "require"})
_INFIX = frozenset({"and", "or", "not"})
_WORDS = _INFIX | STATEMENTS | {"true", "false", "none", "default"}
_PAIRS = {")": "(", "]": "[", "}": "{"}


def format_text(text: str) -> str:
    """The text in the one style. Raises `FormatError` rather than change anything but white space."""
    lines = _without_needless(_read(text))
    _Levels().indent(lines)
    for line in lines:
        _render(line)
    align_values(lines)
    align_comments(lines, INDENT)
    made = "".join(f"{line.text(INDENT)}\n" for line in lines)
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


class _Levels:
    """How deep each line stands. A closing bracket closes the last one of its kind, as far as there is any."""

    def __init__(self) -> None:
        self.open: list[tuple[str, int]] = []
        self.counts = dict.fromkeys(_PAIRS.values(), 0)
        self.goes_on = False

    def indent(self, lines: Sequence[Line]) -> None:
        for line in lines:
            if line.empty:
                continue
            if not self.goes_on and _is_statement(line.words):
                self.open, self.counts = [], dict.fromkeys(self.counts, 0)
            leading = next((i for i, word in enumerate(line.words) if word.kind != "CLOSE"), len(line.words))
            line.level, line.goes_on = self._level(line.words[:leading]), self.goes_on
            for word in line.words[leading:]:
                self._enter(word, line.level)
            if line.words:
                self.goes_on = _goes_on(line.words[-1])

    def _level(self, closers: Sequence[Word]) -> int:
        closed = [level for word in closers if (level := self._close(word.text)) is not None]
        if closed:
            return closed[-1]
        # more than a text without faults can have would only let a hostile one grow
        return min((self.open[-1][1] + 1 if self.open else 0) + self.goes_on, DEPTH_LIMIT)

    def _enter(self, word: Word, level: int) -> None:
        if word.kind == "OPEN":
            self.open.append((word.text, level))
            self.counts[word.text] += 1
        elif word.kind == "CLOSE":
            self._close(word.text)

    def _close(self, bracket: str) -> int | None:
        """The level of the line that opened what this bracket closes."""
        while self.counts[_PAIRS[bracket]]:
            opener, level = self.open.pop()
            self.counts[opener] -= 1
            if opener == _PAIRS[bracket]:
                return level
        return None


def _is_statement(words: Sequence[Word]) -> bool:
    """Whether a line begins what can only stand at the margin: no component has a field of such a name."""
    if not words or words[0].kind != "NAME":
        return False
    follows = words[1].text if len(words) > 1 else ""
    return words[0].text in STATEMENTS or (words[0].text in ROOTS and follows in {"=", "{"})


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
