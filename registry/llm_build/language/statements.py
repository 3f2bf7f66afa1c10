"""The tokens of a text with faults, made ready for the parser: brackets add up, newlines end statements, and each token
knows the statement that it belongs to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import attrs
from lark import Token

from llm_build.diagnostics import Diagnostic, Source
from llm_build.language import tree
from llm_build.language.brackets import OPENING, VALUES, Unclosed, closer, pair
from llm_build.language.loose import placed
from llm_build.language.syntax_faults import CLOSING, bad_character, closes_nothing, too_deep, unclosed
from llm_build.language.tokens import OPEN_ENDED
from llm_build.language.values import DEPTH_LIMIT

_KEYWORDS = frozenset({"LLM", "EXTENDS", "LET", "PARAM", "REQUIRE"})
_OPERATORS = OPEN_ENDED - {"LPAR", "LSQB", "LBRACE", "_COMMA"}
FAULT_LIMIT = 100
"""A text with more syntax faults than this is no spec with slips: the rest is not said."""


@attrs.define(eq=False)
class Placed:
    """A token and the number of the statement that it belongs to; a field in braces is a statement of its own."""

    token: Token
    statement: int = 0
    fault: Diagnostic | None = None
    """What is wrong with it, where that is known before parsing."""
    beside: bool = False
    """Whether the statement around the fault is sound all the same."""
    bound: bool = False
    """Whether a stray character touches the token before it."""

    @property
    def kind(self) -> str:
        return str(self.token.type)


def prepare(tokens: Sequence[Token], source: Source) -> tuple[list[Placed], list[tree.Doubt]]:
    """Mend the brackets of a text, then find its statements; with the stretches whose structure is a guess."""
    mending = _Mending(tokens, source)
    return _numbered(list(_separated(_limited(mending.mended(), source), source))), mending.doubts


class _Mending:
    """Puts in the closers that are missing and takes out those that close nothing."""

    def __init__(self, tokens: Sequence[Token], source: Source) -> None:
        self.source = source
        self.placed = [Placed(each, fault=_lexical(each, source)) for each in tokens]
        self.pairing, self.guided = pair(tokens, source)
        self.doubts: list[tree.Doubt] = []
        self.lines = [source.place(each.start_pos or 0)[0] for each in tokens]
        self.first: dict[int, int] = {}
        for line, token in zip(self.lines, tokens, strict=True):
            self.first.setdefault(line, token.start_pos or 0)
        self.braces = Counter(
            line for line, each in zip(self.lines, tokens, strict=True) if each.type in {"LBRACE", "RBRACE"}
        )
        self.broken = {
            line
            for line, each in zip(self.lines, tokens, strict=True)
            if str(each).startswith('"') and each.type == "FAULT"
        }

    def mended(self) -> list[Placed]:
        missing: dict[int, list[Placed]] = {}
        for each in self.pairing.unclosed:
            missing.setdefault(each.before, []).append(self._closed(each))
        for index in self.pairing.stray:
            token = self.placed[index].token
            known = self.lines[index] in self.broken
            fault = None if known else closes_nothing(self.source, token)
            stray = placed("STRAY", str(token), token.start_pos or 0, token.end_pos or 0)
            self.placed[index] = Placed(stray, fault=fault, beside=True)
        made = []
        for index, item in enumerate(self.placed):
            made += [*missing.get(index, ()), item]
        return [*made, *missing.get(len(self.placed), ())]

    def _closed(self, found: Unclosed) -> Placed:
        item, line = self.placed[found.opener], self.lines[found.opener]
        place = self.placed[found.before - 1].token.end_pos or 0
        if line not in self.broken:
            after = self.placed[found.before : found.before + 2]
            following = next((each.token for each in after if each.kind != "_NEWLINE"), None)
            item.fault = unclosed(self.source, item.token, following)
            item.beside = item.kind == "LBRACE"
        if item.kind == "LBRACE" and (not self.guided or self.braces[line] > 1):
            # with another brace on this line nobody knows which of them was to be closed
            self.doubts.append(tree.Doubt(self.first[line], place, structure=True))
        return Placed(closer(item.token, place))


def _lexical(token: Token, source: Source) -> Diagnostic | None:
    return bad_character(source, token.start_pos or 0) if token.type in {"STRAY", "FAULT"} else None


def _limited(items: list[Placed], source: Source) -> Iterator[Placed]:
    """The tokens without what nests too deep."""
    depth = 0
    for item in items:
        depth += item.kind in OPENING
        if depth <= DEPTH_LIMIT:
            yield item
        elif depth == DEPTH_LIMIT + 1 and item.kind in OPENING:
            value = item.kind != "LBRACE"
            stand_in = placed("FAULT" if value else "STRAY", "", item.token.start_pos or 0, item.token.end_pos or 0)
            yield Placed(stand_in, fault=too_deep(source, item.token))
        depth -= item.kind in CLOSING


def _separated(items: Iterator[Placed], source: Source) -> Iterator[Placed]:
    """The tokens without newlines that end nothing; one behind `=` does where the next line begins a statement."""
    tokens = list(items)
    opened: list[str] = []
    last, newline, indent = "", None, 0
    for index, item in enumerate(tokens):
        if item.kind == "_NEWLINE":
            newline = newline or item
            continue
        if newline is not None and last and _kinds(tokens, index)[0] not in CLOSING:
            column = source.place(item.token.start_pos or 0)[1]
            fresh = last in _OPERATORS and opened[-1:] in ([], ["LBRACE"])
            ends = last not in OPEN_ENDED | {"_NEWLINE"}
            if ends or (fresh and _begins(tokens, index, column <= indent)):
                yield newline
                last, indent = "_NEWLINE", column
        newline = None
        if item.kind in OPENING:
            opened.append(item.kind)
        elif item.kind in CLOSING and opened:
            opened.pop()
        yield item
        last = item.kind if item.kind != "STRAY" else last
        indent = indent or 1


def _begins(tokens: Sequence[Placed], index: int, outside: bool) -> bool:
    """Whether a line begins a statement; `outside` where it stands no deeper than the statement before it."""
    first, following = _kinds(tokens, index)
    if first != "NAME":
        return first in _KEYWORDS
    return following in VALUES | {"EQUAL"} or (outside and following in {"LBRACE", "LSQB", "LPAR", "MINUS", "_NEWLINE"})


def _kinds(tokens: Sequence[Placed], index: int) -> list[str]:
    """The kinds of two tokens from here on, without stray characters."""
    return [*(each.kind for each in tokens[index : index + 4] if each.kind != "STRAY"), "", ""][:2]


def _numbered(items: list[Placed]) -> list[Placed]:
    """Give every token the number of its statement."""
    around: list[tuple[str, int]] = []
    count = statement = 0
    before: Placed | None = None
    for item in items:
        separates = item.kind in {"_NEWLINE", "_COMMA"} and (not around or around[-1][0] == "LBRACE")
        if item.kind in CLOSING and around:
            statement = around.pop()[1]
        item.statement = statement
        if item.kind == "STRAY" and before is not None and _touch(before, item):
            item.statement, item.bound = before.statement, True
        elif before is not None and before.kind == "STRAY" and item.kind == "RBRACE" and _adjoin(before, item):
            before.statement = before.statement if before.bound else statement
        before = item
        if item.kind in OPENING:
            around.append((item.kind, statement))
        if separates or item.kind == "LBRACE":
            count += 1
            statement = count
    return items


def _touch(before: Placed, stray: Placed) -> bool:
    """Whether a stray character belongs to the token before it."""
    return before.kind not in {"_NEWLINE", "_COMMA"} and _adjoin(before, stray)


def _adjoin(before: Placed, after: Placed) -> bool:
    return before.token.end_pos == after.token.start_pos
