"""The parser of the grammar. Its parse tables are saved beside it, because building them takes longer than `check`.

Where they do not fit the grammar or the installed lark they are built anew, which only costs time.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import lark
from lark import Lark

from llm_build.language.builder import TreeBuilder

GRAMMAR = Path(__file__).with_name("grammar.lark")
TABLES = Path(__file__).with_name("grammar.tables")
STARTS = ("spec", "assign")


@cache
def parser() -> Lark:
    """The parser that this process uses."""
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
