"""Text → syntax tree, or the first syntax fault with its place.

The parse tables are saved beside the grammar; where they do not fit the grammar or the installed lark, they are built
anew, which only costs time.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import lark
from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from llm_build.diagnostics import Diagnostic, Related, Source, Span
from llm_build.language.builder import TreeBuilder
from llm_build.language.values import BIDIRECTIONAL, DEPTH_LIMIT

GRAMMAR = Path(__file__).with_name("grammar.lark")
TABLES = Path(__file__).with_name("grammar.tables")
STARTS = ("spec", "assign", "expr")

# a newline after one of these, or before one of those, does not end a statement
_OPEN_ENDED = frozenset("EQUAL OR AND NOT COMPARE PLUS MINUS STAR FLOOR SLASH LPAR LSQB LBRACE _COMMA _NEWLINE".split())
_CLOSING = {"RPAR": "LPAR", "RSQB": "LSQB", "RBRACE": "LBRACE"}


class _SyntaxFault(Exception):
    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(str(diagnostic))


def parse(source: Source, start: str = "spec") -> tuple[Any, list[Diagnostic]]:
    """The tree of a source and its syntax faults; the tree is None where there is a fault.

    `start` is "spec" for a file, "assign" for `--set path=value`.
    """
    faults = _bidirectional(source)
    if faults:
        return None, faults
    try:
        return _parse(source, start), []
    except _SyntaxFault as fault:
        return None, [fault.diagnostic]


def _parse(source: Source, start: str) -> Any:
    parser = _parser().parse_interactive(start=start)
    tokens = _Tokens(source)
    try:
        for token in tokens:
            parser.feed_token(token)
        return parser.feed_eof(tokens.last)
    except UnexpectedCharacters as fault:
        raise _SyntaxFault(_bad_character(source, fault.pos_in_stream)) from None
    except UnexpectedToken as fault:
        raise _SyntaxFault(_unexpected(source, fault, tokens, parser.accepts())) from None


class _Tokens:
    """The tokens that the grammar is to see: without the newlines that end nothing, and never nested too deep."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.last: Token | None = None
        self.open: list[Token] = []

    def __iter__(self) -> Iterator[Token]:
        newline: Token | None = None
        for token in _parser().lex(self.source.text):
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
        return self.last is not None and self.last.type not in _OPEN_ENDED and following.type not in _CLOSING

    def _nest(self, token: Token) -> None:
        if token.type in _CLOSING.values():
            self.open.append(token)
        elif token.type in _CLOSING and self.open and self.open[-1].type == _CLOSING[token.type]:
            self.open.pop()
        if len(self.open) > DEPTH_LIMIT:
            message = f"braces and brackets nest at most {DEPTH_LIMIT} deep; this one is deeper"
            raise _SyntaxFault(_diagnostic(self.source, token, "E108", message, "name the inner part with `let`"))


@cache
def _parser() -> Lark:
    grammar = GRAMMAR.read_text(encoding="utf-8")
    saved = TABLES.read_bytes() if TABLES.is_file() else b""
    head = stamp(grammar)
    if saved.startswith(head):
        return Lark.__new__(Lark)._load(pickle.loads(saved[len(head) :]), transformer=TreeBuilder())  # noqa: S301
    return make_parser(grammar, transformer=TreeBuilder())


def make_parser(grammar: str, **options: Any) -> Lark:
    """A parser straight from the grammar."""
    return Lark(
        grammar,
        parser="lalr",
        lexer="basic",
        start=list(STARTS),
        keep_all_tokens=True,
        maybe_placeholders=False,
        **options,
    )


def stamp(grammar: str) -> bytes:
    """What saved tables begin with: they fit this grammar and this version of lark alone."""
    return f"{lark.__version__} {hashlib.sha256(grammar.encode()).hexdigest()}\n".encode()


def save_tables() -> None:
    """Write the parse tables beside the grammar; run by tools/tables after every change of the grammar."""
    grammar = GRAMMAR.read_text(encoding="utf-8")
    tables = io.BytesIO()
    make_parser(grammar, strict=True).save(tables)
    TABLES.write_bytes(stamp(grammar) + tables.getvalue())


# --- what a syntax fault says ---

_WORDS = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a string",
    "QUALIFIED": "a component",
    "_NEWLINE": "a new line",
    "_COMMA": "`,`",
    "EQUAL": "`=`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "COLON": "`:`",
    "DOT": "`.`",
    "$END": "the end of the text",
}
_VALUE_STARTS = {"NUMBER", "STRING", "NAME", "LSQB"}
_OPERATORS = {"OR", "AND", "COMPARE", "PLUS", "MINUS", "STAR", "FLOOR", "SLASH", "NOT"}
_KEYWORDS = {"LLM", "EXTENDS", "LET", "PARAM", "REQUIRE", "TRUE", "FALSE", "NONE", "DEFAULT", "OR", "AND", "NOT"}


def _diagnostic(source: Source, token: Token | None, code: str, message: str, advice: str = "") -> Diagnostic:
    start, end = (token.start_pos or 0, token.end_pos or 0) if token else (len(source.text),) * 2
    return Diagnostic(code=code, message=message, span=Span(source, start, end), help=advice)


def _bidirectional(source: Source) -> list[Diagnostic]:
    return [
        Diagnostic(
            code="E103",
            message=f"bidirectional control characters are not allowed; U+{ord(char):04X} stands here",
            span=Span(source, index, index + 1),
            help="delete it: it can make a text look like another",
        )
        for index, char in enumerate(source.text)
        if char in BIDIRECTIONAL
    ]


def _bad_character(source: Source, offset: int) -> Diagnostic:
    char = source.text[offset]
    span = Span(source, offset, offset + 1)
    if char == '"':
        end = source.text.find("\n", offset)
        span = Span(source, offset, end if end >= 0 else len(source.text))
        return Diagnostic(
            code="E102", message="this string has no end on its line", span=span, help='close it with `"` on the same line'
        )
    advice = {
        "'": 'write strings with `"`',
        ";": "separate fields with a comma or a new line",
        "%": "a percent sign belongs right behind its number: 1%; there is no modulo",
        "!": "write `not` or `!=`",
        "&": "write `and`",
        "|": "write `or`",
    }.get(char, "delete it")
    return Diagnostic(code="E102", message=f"the character {char!r} has no meaning here", span=span, help=advice)


def _unexpected(source: Source, fault: UnexpectedToken, tokens: _Tokens, accepted: set[str]) -> Diagnostic:
    token = fault.token
    at_end = token.type == "$END"
    closers = {closer for closer, opener in _CLOSING.items() if tokens.open and tokens.open[-1].type == opener}
    expected = _expected(accepted, closers)
    if at_end and tokens.open:
        return _unclosed(source, tokens.open[-1])
    found = "the end of the text" if at_end else _WORDS.get(token.type) or f"`{token}`"
    if token.type in {"NUMBER", "STRING", "NAME"}:
        found = f"`{token}`"
    message = f"expected {expected}; {found} arrived"
    return _diagnostic(source, None if at_end else token, "E101", message, _advice(source, token, tokens))


def _unclosed(source: Source, opener: Token) -> Diagnostic:
    close = {"{": "}", "(": ")", "[": "]"}[str(opener)]
    message = f"this `{opener}` is never closed"
    end = Span(source, len(source.text), len(source.text))
    related = (Related("the text ends here", end),) if source.text else ()
    diagnostic = _diagnostic(source, opener, "E101", message, f"close it with `{close}`")
    return Diagnostic(
        code=diagnostic.code, message=message, span=diagnostic.span, help=diagnostic.help, related=related
    )


def _expected(accepted: set[str], closers: set[str]) -> str:
    words = []
    if accepted >= _VALUE_STARTS:
        words.append("a value")
        accepted = accepted - _VALUE_STARTS - _KEYWORDS - _OPERATORS - {"QUALIFIED", "LPAR"}
    if accepted & _OPERATORS:
        words.append("an operator")
    if accepted >= {"LET", "PARAM"}:
        words.append("a statement")
        accepted = accepted - {"NAME"}
    unlikely = set(_CLOSING) - closers
    words += sorted(_WORDS[each] for each in accepted - unlikely if each in _WORDS)
    words = words or ["something else"]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def _advice(source: Source, token: Token, tokens: _Tokens) -> str:
    last = tokens.last
    if token.type in _KEYWORDS:
        return f"`{token}` is a word of the language; choose another name"
    if last is not None and last.type in _KEYWORDS - {"TRUE", "FALSE", "NONE", "DEFAULT"} and token.type == "EQUAL":
        return f"`{last}` is a word of the language; choose another name"
    if token.type == "_COMMA" and last is not None and last.type == "_COMMA":
        return "delete one of the two commas"
    if token.type == "STAR" and last is not None and last.type == "STAR":
        return "there is no power operator; multiply, or write 1e6"
    if token.type in {"NAME", "NUMBER", "STRING"} and last is not None and last.type == "NAME":
        return f"to set a field write `{last} = {token}`"
    if token.type in {"NAME", "NUMBER", "STRING"} and last is not None and last.type in {"NUMBER", "RBRACE", "RSQB", "STRING"}:
        return "separate fields with a comma or a new line"
    if token.type == "COLON":
        return "set a field with `=`"
    return ""
