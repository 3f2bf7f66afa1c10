"""A text cut into lexemes, white space and comments among them: joined again they are the text, faulty or not.

They are the tokens of grammar.lark, and a test holds the two together; but here nothing stops at a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_KINDS = {
    "COMMENT": r"#[^\n]*",
    "NEWLINE": r"\r?\n",
    "SPACE": r"[ \t\r]+",
    "QUALIFIED": r"[A-Za-z_][A-Za-z0-9_]*:[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*",
    "NAME": r"[A-Za-z_][A-Za-z0-9_]*",
    "NUMBER": r"\.?[0-9](?:[eE][+-](?=[0-9])|[\w.])*%?",
    "STRING": r'"(?:[^"\\\n]|\\.)*"',
    "OPERATOR": r"==|!=|<=|>=|//|[<>+*/]",
    "MINUS": r"-",
    "EQUAL": r"=",
    "OPEN": r"[(\[{]",
    "CLOSE": r"[)\]}]",
    "COMMA": r",",
    "COLON": r":",
    "DOT": r"\.",
    # a string without an end takes the rest of its line
    "ENDLESS": r'"(?:[^\n\r]|\r++(?!\n|\Z))*+',
    # a character that begins nothing
    "BAD": r".",
}
_LEXEME = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS.items()))


class Lexeme(NamedTuple):
    kind: str
    text: str


def lexemes(text: str) -> Iterator[Lexeme]:
    """Every lexeme of a text, in order."""
    for match in _LEXEME.finditer(text):
        yield Lexeme(match.lastgroup or "", match.group())


def kept(text: str) -> Iterator[str]:
    """What no change of white space may touch: every token and comment, and where statements may end."""
    begun = ended = False
    for kind, word in lexemes(text):
        if kind == "NEWLINE":
            ended = begun
        elif kind != "SPACE":
            if ended:
                yield "\n"
            yield word.rstrip(" \t\r") if kind == "COMMENT" else word
            begun, ended = True, False
