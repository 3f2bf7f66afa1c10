"""What a syntax fault says: what was expected, what arrived, and what to write instead."""

from __future__ import annotations

import attrs
from lark import Token

from llm_build.diagnostics import Diagnostic, Related, Source, Span
from llm_build.language.values import BIDIRECTIONAL, DEPTH_LIMIT

CLOSING = {"RPAR": "LPAR", "RSQB": "LSQB", "RBRACE": "LBRACE"}


class SyntaxFault(Exception):
    """Parsing cannot go on."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(str(diagnostic))


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
VALUE_STARTS = {"NUMBER", "STRING", "NAME", "LSQB"}
_OPERATORS = {"OR", "AND", "COMPARE", "PLUS", "MINUS", "STAR", "FLOOR", "SLASH", "NOT"}
_KEYWORDS = {"LLM", "EXTENDS", "LET", "PARAM", "REQUIRE", "TRUE", "FALSE", "NONE", "DEFAULT", "OR", "AND", "NOT"}


def at(source: Source, token: Token | None, code: str, message: str, advice: str = "") -> Diagnostic:
    """A diagnostic at a token; at the end of the text where there is none."""
    start, end = (token.start_pos or 0, token.end_pos or 0) if token else (len(source.text),) * 2
    return Diagnostic(code=code, message=message, span=Span(source, start, end), help=advice)


def bidirectional(source: Source) -> list[Diagnostic]:
    """The first character of each line that changes the direction of the text."""
    found: dict[int, int] = {}
    for index, char in enumerate(source.text):
        if char in BIDIRECTIONAL:
            found.setdefault(source.place(index)[0], index)
    return [
        Diagnostic(
            code="E103",
            message=f"bidirectional control characters are not allowed; U+{ord(source.text[index]):04X} stands here",
            span=Span(source, index, index + 1),
            help="delete it: it can make a text look like another",
        )
        for index in found.values()
    ]


def bad_character(source: Source, offset: int) -> Diagnostic:
    """A character that begins no token."""
    char = source.text[offset]
    span = Span(source, offset, offset + 1)
    if char == '"':
        end = source.text.find("\n", offset)
        span = Span(source, offset, end if end >= 0 else len(source.text))
        return Diagnostic(
            code="E102",
            message="this string has no end on its line",
            span=span,
            help='close it with `"` on the same line',
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


def unexpected(source: Source, token: Token, last: Token | None, opened: list[Token], accepted: set[str]) -> Diagnostic:
    """A token that cannot stand here. `last` is the one before it, `opened` the brackets that are open, `accepted` the
    types of token that could go on."""
    if token.type == "$END" and opened:
        return unclosed(source, opened[-1], None)
    closers = {closer for closer, opener in CLOSING.items() if opened and opened[-1].type == opener}
    message = f"expected {_expected(accepted, closers)}; {_found(token)} arrived"
    advice = "write a value before it" if accepted >= VALUE_STARTS and token.type in closers else _advice(token, last)
    found = at(source, None if token.type == "$END" else token, "E101", message, advice)
    if token.type in set(CLOSING) - closers and opened:
        opener = Span(source, opened[-1].start_pos or 0, opened[-1].end_pos or 0)
        return attrs.evolve(found, related=(Related("opened here", opener),))
    return found


def _found(token: Token) -> str:
    return _WORDS[token.type] if token.type in {"$END", "_NEWLINE"} else f"`{token}`"


def unclosed(source: Source, opener: Token, following: Token | None) -> Diagnostic:
    """A bracket that is never closed; `following` is the first token that stands outside it, None at the text's end."""
    close = {"{": "}", "(": ")", "[": "]"}[str(opener)]
    found = at(source, opener, "E101", f"this `{opener}` is never closed", f"close it with `{close}`")
    offset = len(source.text) if following is None else following.start_pos or 0
    what = "the text ends here" if following is None else f"`{close}` is expected before this"
    return attrs.evolve(found, related=(Related(what, Span(source, offset, offset + (following is not None))),))


def closes_nothing(source: Source, closer: Token) -> Diagnostic:
    """A closing bracket that no open one belongs to."""
    return at(source, closer, "E101", f"this `{closer}` closes nothing", "delete it, or open it before")


def too_deep(source: Source, opener: Token) -> Diagnostic:
    """A bracket inside too many others."""
    message = f"braces and brackets nest at most {DEPTH_LIMIT} deep; this one is deeper"
    return at(source, opener, "E108", message, "name the inner part with `let`")


def no_value(source: Source, last: Token, token: Token) -> Diagnostic:
    """A line that ends where a value is expected."""
    message = f"expected a value; {'the text' if token.type == '$END' else 'the line'} ends after `{last}`"
    return at(source, last, "E101", message, "write a value behind it")


def _expected(accepted: set[str], closers: set[str]) -> str:
    words = []
    if accepted >= VALUE_STARTS:
        words.append("a value")
        accepted = accepted - VALUE_STARTS - _KEYWORDS - _OPERATORS - {"QUALIFIED", "LPAR"}
    if accepted & _OPERATORS:
        words.append("an operator")
    if accepted >= {"LET", "PARAM"}:
        words.append("a statement")
        accepted = accepted - {"NAME"}
    unlikely = set(CLOSING) - closers
    words += sorted(_WORDS[each] for each in accepted - unlikely if each in _WORDS)
    words = words or ["something else"]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def _advice(token: Token, last: Token | None) -> str:
    before = last.type if last is not None else ""
    if before == "NUMBER" and str(last).endswith("%"):
        before = "NUMBER%"
    if token.type in _KEYWORDS:
        return f"`{token}` is a word of the language; choose another name"
    if token.type == "EQUAL" and before in _KEYWORDS:
        return f"`{last}` is a word of the language; choose another name"
    if token.type in _WRITTEN:
        return f"to set a field write `{last} = {token}`" if before == "NAME" else _separate(before)
    return _ADVICE.get((before, token.type)) or _USUAL.get(token.type, "look at what stands before it")


def _separate(before: str) -> str:
    if before == "NUMBER%":
        return "there is no modulo; `//` floors a division"
    known = before in _WRITTEN | set(CLOSING)
    return "separate fields with a comma or a new line" if known else "look at what stands before it"


_WRITTEN = {"NAME", "NUMBER", "STRING"}
_USUAL = {
    "COLON": "set a field with `=`",
    "LBRACE": "a brace stands on the line of its component",
    "RBRACE": "delete it, or open it before",
    "RPAR": "delete it, or open it before",
    "RSQB": "delete it, or open it before",
    "PLUS": "an operator stands between two values",
    "$END": "complete the last statement",
    "_NEWLINE": "complete the statement on its line; a new line may follow `=`, an operator, a bracket or a comma",
}
_ADVICE = {
    ("_COMMA", "_COMMA"): "delete one of the two commas",
    ("STAR", "STAR"): "there is no power operator; multiply, or write 1e6",
}
