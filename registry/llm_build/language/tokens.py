"""The tokens that the grammar is to see: without the newlines that end nothing, and never nested too deep."""

from __future__ import annotations

from collections.abc import Iterator

from lark import Token

from llm_build.diagnostics import Source
from llm_build.language.syntax_faults import CLOSING, SyntaxFault, too_deep
from llm_build.language.tables import parser
from llm_build.language.values import DEPTH_LIMIT

# a newline behind one of these ends no statement, and neither does one before a closing bracket
OPEN_ENDED = frozenset("EQUAL OR AND NOT COMPARE PLUS MINUS STAR FLOOR SLASH LPAR LSQB LBRACE _COMMA".split())  # noqa: SIM905


class Tokens:
    """`last` is the token before the one that was given out last; `open` holds the brackets that are not closed yet."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.last: Token | None = None
        self.open: list[Token] = []

    def __iter__(self) -> Iterator[Token]:
        newline: Token | None = None
        for token in parser().lex(self.source.text):
            if token.type == "_NEWLINE":
                newline = newline or token
                continue
            if newline is not None and self._ends_statement(token):
                yield newline
            newline = None
            self._nest(token)
            yield token
            self.last = token

    def _ends_statement(self, following: Token) -> bool:
        return self.last is not None and self.last.type not in OPEN_ENDED and following.type not in CLOSING

    def _nest(self, token: Token) -> None:
        if token.type in CLOSING.values():
            self.open.append(token)
        elif token.type in CLOSING and self.open and self.open[-1].type == CLOSING[token.type]:
            self.open.pop()
        if len(self.open) > DEPTH_LIMIT:
            raise SyntaxFault(too_deep(self.source, token))
