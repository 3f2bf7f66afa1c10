"""Texts with other white space, and with faults, for the laws of the formatter."""

from __future__ import annotations

from pathlib import Path
from random import Random

from hypothesis import strategies as st

from llm_build import write
from llm_build.language.scanner import Lexeme, lexemes
from tests.language.strategies import specs

ROOT = Path(__file__).parents[2]
FILES = [
    file.read_text(encoding="utf-8")
    for folder in ("specs", "tests/specs", "tests/diagnostics")
    for file in sorted((ROOT / folder).glob("*.llm"))
]
BROKEN = """
llm 1 # edition
model = decoder { layers = [1, -2
  norm = rms ] } ) x = "no end   # here
require not - a : b and c . d [ n : m ] . e [ 0:-1 ] >= 1e - 5 % 3 # why
let a = sqrt (3) * (
    - 4 + q:r . s, ..5 . 6) { b = $ 'c' ; }, extends"b.llm"
train {{ = == ! = + } data = [n:a.b] - = / / <
"""
STRAY = "\"'$%&|!\\ö{}[]();:.,=<>+-*/# \t\n"
SPACES = [" ", " ", "  ", "\t", "        ", " \t "]
ENDS = ["\n", "\n", "\r\n", "\n\n", "\n\n\n", "\n \t\n\n", " \n", "\t \r\n"]
SINGLE = {"OPEN", "CLOSE", "COMMA"}
"""Words of one character that are no part of any other, whatever stands beside them."""
OPEN_ENDED = {"OPEN", "COMMA", "EQUAL", "OPERATOR", "MINUS"}


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A real or drawn spec, most often with faults, and with its white space changed at random."""
    text = draw(st.sampled_from([*FILES, BROKEN]) | specs.map(write))
    random = Random(draw(st.integers(0, 2**32)))
    for _ in range(random.choice([0, 0, 1, 2, 5])):
        text = damaged(text, random)
    return perturbed(text, random)


def damaged(text: str, random: Random) -> str:
    """A text that lacks a lexeme, or has a character that does not belong there."""
    pieces = [each.text for each in lexemes(text)] or [""]
    place = random.randrange(len(pieces))
    pieces[place] = random.choice(["", random.choice(STRAY), pieces[place] + random.choice(STRAY)])
    return "".join(pieces)


def perturbed(text: str, random: Random) -> str:
    """The same tokens and comments, with other white space between them."""
    made, before, spaced = "", Lexeme("NEWLINE", "\n"), False
    for each in lexemes(text):
        if each.kind == "SPACE":
            spaced = True
        elif each.kind == "NEWLINE":
            # white space behind a string without an end would become a part of it
            made += random.choice(ENDS).lstrip(" \t" if before.kind == "ENDLESS" else "")
            before, spaced = each, False
        else:
            made += _gap(before, each, spaced, random) + each.text
            before, spaced = each, False
    return made


def _gap(before: Lexeme, each: Lexeme, spaced: bool, random: Random) -> str:
    if before.kind in OPEN_ENDED and random.random() < 0.03:
        return random.choice(ENDS) + random.choice(["", *SPACES])
    safe = {before.kind, each.kind} & SINGLE or before.kind == "NEWLINE" or each.kind == "COMMENT" or not spaced
    if safe and random.random() < 0.6:
        return ""
    return random.choice(SPACES) if spaced or random.random() < 0.4 else ""
