"""Every token of a text with faults: what begins no token is kept as `STRAY`, a string without an end as `FAULT`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from lark import Token
from lark.exceptions import UnexpectedCharacters

from llm_build.language.tables import parser

LEXICAL_LIMIT = 100
"""A text with more stray characters than this is no spec; it is read up to there."""

TOKEN_LIMIT = 100_000
"""A text with faults is read up to so many tokens."""

_RUN = re.compile(r"[^\w\s\"#{}()\[\]=,.:+\-*/<>!]+|.", re.ASCII)
_INSIDE = re.compile(r'[^\n,\]})"]*')
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYWORDS = {"LLM", "EXTENDS", "LET", "PARAM", "REQUIRE", "TRUE", "FALSE", "NONE", "DEFAULT", "OR", "AND", "NOT"}
_WORDS = frozenset({"NAME", "NUMBER"} | _KEYWORDS)


def loose_tokens(text: str) -> tuple[list[Token], bool]:
    """All tokens with newlines, and whether the whole text was read."""
    tokens = list(islice(_tokens(text), TOKEN_LIMIT))
    ended = bool(tokens) and tokens[-1].type == "$END"
    return _joined(tokens[:-1] if ended else tokens), not ended and len(tokens) < TOKEN_LIMIT


def _tokens(text: str) -> Iterator[Token]:
    """The tokens; `$END` is the last where there are too many faults to go on."""
    begin = 0
    for _ in range(LEXICAL_LIMIT):
        try:
            newline = False
            for token in parser().lex(text[begin:]):
                if not (newline and token.type == "_NEWLINE"):
                    yield _moved(token, begin)
                newline = token.type == "_NEWLINE"
            return
        except UnexpectedCharacters as fault:
            start = begin + (fault.pos_in_stream or 0)
        kind, begin = ("FAULT", _string_end(text, start)) if text[start] == '"' else ("STRAY", _run_end(text, start))
        yield placed(kind, text[start:begin], start, begin)
    yield placed("$END", "", begin, begin)


def placed(kind: str, text: str, start: int, end: int) -> Token:
    return Token(kind, text, start_pos=start, end_pos=end)


def _moved(token: Token, by: int) -> Token:
    token.start_pos, token.end_pos = (token.start_pos or 0) + by, (token.end_pos or 0) + by
    return token


def _run_end(text: str, start: int) -> int:
    match = _RUN.match(text, start)
    return match.end() if match else start + 1


def _string_end(text: str, start: int) -> int:
    """Where a string without a closing quote was probably meant to end: before a comma or a closer of its line."""
    match = _INSIDE.match(text, start + 1)
    return match.end() if match else start + 1


def _joined(tokens: list[Token]) -> list[Token]:
    """`di$m` is the word `dim` with a stray character in it; a number is not guessed."""
    made: list[Token] = []
    for token in tokens:
        if len(made) > 1 and token.type in _WORDS and _touch(made[-2], made[-1], token):
            stray, before = made.pop(), made.pop()
            made += [stray, _join(before, token)]
        else:
            made.append(token)
    return made


def _touch(before: Token, stray: Token, after: Token) -> bool:
    return (
        stray.type == "STRAY"
        and before.type in _WORDS
        and before.end_pos == stray.start_pos
        and stray.end_pos == after.start_pos
    )


def _join(before: Token, after: Token) -> Token:
    text = str(before) + str(after)
    kind = next(parser().lex(text)).type if _WORD.fullmatch(text) else "FAULT"
    return placed(kind, text, before.start_pos or 0, after.end_pos or 0)
