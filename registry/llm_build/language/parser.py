"""Text → syntax tree, or the first syntax fault with its place."""

from __future__ import annotations

from typing import Any

from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from llm_build.diagnostics import Diagnostic, Source
from llm_build.language.syntax_faults import SyntaxFault, bad_character, bidirectional, unexpected
from llm_build.language.tables import parser
from llm_build.language.tokens import Tokens


def parse(source: Source, start: str = "spec") -> tuple[Any, list[Diagnostic]]:
    """The tree of a source and its syntax faults; the tree is None where there is a fault.

    `start` is "spec" for a file, "assign" for `--set path=value`.
    """
    faults = bidirectional(source)
    if faults:
        return None, faults
    try:
        return _parse(source, start), []
    except SyntaxFault as fault:
        return None, [fault.diagnostic]


def _parse(source: Source, start: str) -> Any:
    machine = parser().parse_interactive(start=start)
    tokens = Tokens(source)
    try:
        for token in tokens:
            machine.feed_token(token)
        return machine.feed_eof(tokens.last)  # type: ignore[no-untyped-call]
    except UnexpectedCharacters as fault:
        raise SyntaxFault(bad_character(source, fault.pos_in_stream or 0)) from None
    except UnexpectedToken as fault:
        accepted = machine.accepts()  # type: ignore[no-untyped-call]
        raise SyntaxFault(unexpected(source, fault.token, tokens.last, tokens.open, accepted)) from None
