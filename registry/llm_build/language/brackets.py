"""Which bracket closes which, in a text where they do not add up: indentation tells where one was meant to be closed.

Each line of a body stands deeper than the line that opened it, so a line that does not ends the body.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from lark import Token

from llm_build.diagnostics import Source
from llm_build.language.syntax_faults import CLOSING

OPENING = {opener: closer for closer, opener in CLOSING.items()}
SEPARATORS = 4
"""A closer is put before so many separators at most, of those that stand before the line that ends its body."""
VALUES = frozenset({"NAME", "NUMBER", "STRING", "QUALIFIED", "TRUE", "FALSE", "NONE", "DEFAULT", "NOT", "FAULT"})
"""What begins a value, and cannot stand behind another one."""
_SIGNS = {"RPAR": ")", "RSQB": "]", "RBRACE": "}"}


@attrs.frozen(eq=False)
class Unclosed:
    """A bracket that is never closed; it is taken to end before the token `before`."""

    opener: int
    before: int


@attrs.define(eq=False)
class Pairing:
    """Indices into the tokens: brackets that are never closed, and closers that close nothing."""

    unclosed: list[Unclosed] = attrs.field(factory=list)
    stray: list[int] = attrs.field(factory=list)

    @property
    def faults(self) -> int:
        return len(self.unclosed) + len(self.stray)


def pair(tokens: Sequence[Token], source: Source) -> tuple[Pairing, bool]:
    """The pairing of a text's brackets, and whether indentation was a guide to it.

    It is none where following it finds more faults than counting does: that text is laid out in another way.
    """
    counted = _Pairer(tokens, None).pairing()
    if not counted.faults:
        return counted, False
    guided = _Pairer(tokens, _columns(tokens, source)).pairing()
    return (guided, True) if guided.faults <= counted.faults else (counted, False)


def closer(opener: Token, place: int) -> Token:
    """The token that should have closed a bracket."""
    kind = OPENING[opener.type]
    return Token(kind, _SIGNS[kind], start_pos=place, end_pos=place)


def _columns(tokens: Sequence[Token], source: Source) -> list[int]:
    """The column of each token that begins a line, and 0 for the others."""
    columns = [0] * len(tokens)
    fresh, start = True, len(source.text)
    for index, token in enumerate(tokens):
        if token.type == "_NEWLINE":
            fresh, start = True, len(source.text)
            continue
        # a stray character at the start of a line is part of it, and so is one inside its first word
        start = min(start, token.start_pos or 0)
        if fresh and token.type != "STRAY":
            columns[index], fresh = source.place(start)[1], False
    return columns


def _below(columns: Sequence[int]) -> list[int]:
    """For each token the column of the next line's first token, 0 where there is none."""
    below, following = [], 0
    for column in reversed(columns):
        below.append(following)
        following = column or following
    return below[::-1]


class _Pairer:
    def __init__(self, tokens: Sequence[Token], columns: Sequence[int] | None) -> None:
        self.tokens, self.columns = tokens, columns
        self.found = Pairing()
        self.open = dict.fromkeys(OPENING, 0)
        self.below = _below(columns or ())
        # (index of an open bracket, indentation of its line)
        self.stack: list[tuple[int, int]] = []
        self.indent = 0

    def pairing(self) -> Pairing:
        for index, token in enumerate(self.tokens):
            if self.columns is not None and self.columns[index]:
                self.indent = self.columns[index]
                self._leave(index, token)
            if token.type in OPENING:
                self.stack.append((index, self.indent))
                self.open[token.type] += 1
            elif token.type in CLOSING:
                self._close(index, token)
            elif token.type == "EQUAL" or (self.columns is not None and self._lacks_equals(index)):
                self._field(index)
        while self.stack:
            self._unclosed(len(self.tokens))
        return self.found

    def _leave(self, index: int, token: Token) -> None:
        """A line that stands no deeper than the one that opened a bracket is outside it."""
        limit = self.indent + 1 if token.type in CLOSING else self.indent
        while self.stack and self.stack[-1][1] >= limit:
            self._unclosed(index)

    def _close(self, index: int, token: Token) -> None:
        kind = CLOSING[token.type]
        if not self.open[kind] or self._early(index):
            self.found.stray.append(index)
            return
        while self.tokens[self.stack[-1][0]].type != kind:
            self._unclosed(index)
        self.stack.pop()
        self.open[kind] -= 1

    def _early(self, index: int) -> bool:
        """Whether the lines below still stand inside what this closer would close."""
        if self.columns is None or not self.columns[index] or self.indent <= self.stack[-1][1]:
            return False
        return self.below[index] > self.stack[-1][1]

    def _lacks_equals(self, index: int) -> bool:
        """Whether this is the value of `, name value`, which no list holds."""
        kinds = [each.type for each in self.tokens[max(index - 2, 0) : index + 1]]
        return kinds[:2] == ["_COMMA", "NAME"] and kinds[-1] in VALUES and len(kinds) > 2

    def _field(self, index: int) -> None:
        """`name =` stands in a body or a call, so a list or a group before it has ended."""
        name = index - 1
        while name > 0 and self.tokens[name].type == "STRAY":
            name -= 1
        if not self.stack or name < 0 or self.tokens[name].type != "NAME":
            return
        while self.stack and not self._takes_names(self.stack[-1][0], self.tokens[name]):
            self._unclosed(name)

    def _takes_names(self, opener: int, name: Token) -> bool:
        kind = self.tokens[opener].type
        if kind == "LPAR":
            return name == "to" and opener > 0 and self.tokens[opener - 1].type == "NAME"
        return kind == "LBRACE"

    def _unclosed(self, before: int) -> None:
        opener, _ = self.stack.pop()
        self.open[self.tokens[opener].type] -= 1
        for _ in range(SEPARATORS):
            if before > opener + 1 and self.tokens[before - 1].type in {"_NEWLINE", "_COMMA", "STRAY"}:
                before -= 1
        self.found.unclosed.append(Unclosed(opener, before))
