"""Text → syntax tree, and every syntax fault with its place."""

from __future__ import annotations

from typing import Any

from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from llm_build.diagnostics import Diagnostic, Source
from llm_build.language.syntax_faults import SyntaxFault, bad_character, bidirectional, unexpected
from llm_build.language.tables import parser
from llm_build.language.tokens import Tokens
from llm_build.language.values import BIDIRECTIONAL


def parse(source: Source, start: str = "spec") -> tuple[Any, list[Diagnostic]]:
    """The tree of a source and its syntax faults.

    `start` is "spec" for a file, whose tree says what could be read in spite of faults, or "assign" for
    `--set path=value`, whose tree is None where there is a fault.
    """
    faults = bidirectional(source)
    try:
        if not faults:
            return _parse(source, start), []
    except SyntaxFault as fault:
        faults = [fault.diagnostic]
    if start != "spec":
        return None, faults
    from llm_build.language.recovery import recover  # only a fault needs it

    text = source.text.translate(dict.fromkeys(map(ord, BIDIRECTIONAL), " "))
    tree, found = recover(source, text)
    return tree, [*bidirectional(source), *found]


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
        accepted = machine.accepts() - {"FAULT"}  # type: ignore[no-untyped-call]
        raise SyntaxFault(unexpected(source, fault.token, tokens.last, tokens.open, accepted)) from None
