"""Specs with syntax faults that are known: what was broken, of which kind, and on which line that is to be said."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
from lark import Token

from llm_build.diagnostics import Diagnostic, Source
from llm_build.language import tree
from llm_build.language.parser import parse
from llm_build.language.tables import parser
from llm_build.resolve import read

STRAY = "$;@?'&|`~^\\!%"
BAD_NUMBERS = ("1K", "1.2.3", "0x1F", "1__0", ".5", "5e", "12abc", "1_", "3e4e5", "7Kib", "1m")
CLOSING = {"}": "{", "]": "[", ")": "("}
OPERATORS = frozenset({"+", "*", "/", "//", "==", "!=", "<", "<=", ">", ">=", "and", "or", "="})
CODES = {
    "unclosed brace": {"E101"},
    "unclosed bracket": {"E101"},
    "missing value": {"E101"},
    "missing =": {"E101"},
    # inside a number a stray character makes a bad number, and before `=` an operator
    "stray character": {"E101", "E102", "E104"},
    "doubled operator": {"E101"},
    "bad number": {"E104"},
    "unterminated string": {"E102"},
}
"""The kinds of fault, and the codes that say such a fault."""


@attrs.frozen
class Seed:
    """One fault: `text[start:end]` becomes `new`. It is to be reported on the line of the offset `at`.

    `statement` is the number of the innermost statement that it breaks, `line` its line where it takes all of that.
    """

    kind: str
    start: int
    end: int
    new: str
    at: int
    statement: int
    line: int | None = None


@attrs.frozen
class Broken:
    """A text with faults, and the kind and line of each."""

    text: str
    seeds: tuple[tuple[str, int], ...]


class Sound:
    """A spec without faults, taken apart: its tokens, and the innermost statement that each belongs to."""

    def __init__(self, text: str) -> None:
        self.text, self.source = text, Source("seeded.llm", text)
        file, faults = parse(self.source)
        assert not faults, faults
        self.statements = list(_statements(file))
        self.tokens = [each for each in parser().lex(text) if each.type != "_NEWLINE"]
        self.owner = [self._owner(each) for each in self.tokens]

    def _owner(self, token: Token) -> int:
        start = token.start_pos or 0
        around = [i for i, each in enumerate(self.statements) if each.start <= start < each.end]
        return max(around, key=lambda i: self.statements[i].start, default=-1)

    def beside(self, index: int, place: int) -> int:
        """The statement of a place in or beside a token; between two tokens the first's, behind a comma the next's."""
        before = self.tokens[index - 1] if index else None
        if before is not None and before.end_pos == place and before != ",":
            return self.owner[index - 1]
        after = self.tokens[index] == "," and place == self.tokens[index].end_pos and index + 1 < len(self.tokens)
        return self.owner[index + 1] if after else self.owner[index]

    def line(self, offset: int) -> int:
        return self.source.place(offset)[0]

    def seed(self, kind: str, draw: random.Random) -> Seed | None:
        """A fault of a kind at a place that is drawn; None where the text has no such place, or would be sound."""
        made = _SEEDERS[kind](self, draw)
        return made if made is not None and self._is_fault(made) else None

    def _is_fault(self, seed: Seed) -> bool:
        source = Source("seeded.llm", self.text[: seed.start] + seed.new + self.text[seed.end :])
        return bool(parse(source)[1]) or any(each.code == "E104" for each in read(source).errors)

    def broken(self, kinds: Sequence[str], draw: random.Random) -> Broken:
        """The text with a fault of each kind, as far as there is a place for it: at most one a statement."""
        chosen: list[Seed] = []
        for kind in kinds:
            for _ in range(20):
                seed = self.seed(kind, draw)
                if seed is not None and all(self._apart(seed, each) for each in chosen):
                    chosen.append(seed)
                    break
        return self._apply(chosen)

    def _apart(self, one: Seed, other: Seed) -> bool:
        """Whether two faults break two statements. Behind a string without an end a line holds no more statements."""
        for first, second in ((one, other), (other, one)):
            outer = self.statements[first.statement]
            if first.kind == "missing value" and outer.start <= second.at < outer.end:
                return False
            if first.line is not None and first.line in {self.line(second.at), self.line(second.start)}:
                return False
        return one.statement != other.statement

    def _apply(self, seeds: Sequence[Seed]) -> Broken:
        text, places = self.text, []
        for seed in sorted(seeds, key=lambda each: -each.start):
            text = text[: seed.start] + seed.new + text[seed.end :]
        for seed in seeds:
            moved = sum(len(each.new) - each.end + each.start for each in seeds if each.start < seed.at)
            places.append((seed.kind, text[: max(seed.at + moved, 0)].count("\n") + 1))
        return Broken(text, tuple(places))


def _statements(node: Any) -> Iterator[Any]:
    if isinstance(node, tree.Statement):  # type: ignore[arg-type]
        yield node
    if isinstance(node, tuple):
        for each in node:
            yield from _statements(each)


def extra_and_missed(broken: Broken, found: Sequence[Diagnostic]) -> tuple[list[Diagnostic], list[tuple[str, int]]]:
    """The reports that no seeded fault explains, and the seeded faults that no report tells of.

    A report tells of a fault if it has a code of its kind and begins on its line: that of the bracket which is never
    closed, or of what was changed. Each report tells of one fault, and as many as can be are paired.
    """
    told: dict[int, int] = {}

    def pair(seed: int, tried: set[int]) -> bool:
        kind, line = broken.seeds[seed]
        for index, each in enumerate(found):
            fits = each.code in CODES[kind] and each.span is not None and each.span.line == line
            if fits and index not in tried:
                tried.add(index)
                if index not in told or pair(told[index], tried):
                    told[index] = seed
                    return True
        return False

    missed = [broken.seeds[seed] for seed in range(len(broken.seeds)) if not pair(seed, set())]
    return [each for index, each in enumerate(found) if index not in told], missed


# --- one function a kind ---


def _choose(spec: Sound, draw: random.Random, fits: Callable[[Token], bool]) -> int | None:
    places = [i for i, each in enumerate(spec.tokens) if spec.owner[i] >= 0 and fits(each)]
    return draw.choice(places) if places else None


def _at(spec: Sound, index: int, kind: str, new: str, at: int | None = None, line: int | None = None) -> Seed:
    token = spec.tokens[index]
    start = token.start_pos or 0
    return Seed(kind, start, token.end_pos or 0, new, start if at is None else at, spec.owner[index], line)


def _unclosed(kind: str, signs: str) -> Callable[[Sound, random.Random], Seed | None]:
    def seed(spec: Sound, draw: random.Random) -> Seed | None:
        index = _choose(spec, draw, lambda each: str(each) in signs)
        return None if index is None else _at(spec, index, kind, "", _opener(spec, index))

    return seed


def _opener(spec: Sound, index: int) -> int:
    depth, kind = 0, str(spec.tokens[index])
    for token in reversed(spec.tokens[: index + 1]):
        depth += (str(token) == kind) - (str(token) == CLOSING[kind])
        if depth == 0:
            return token.start_pos or 0
    raise AssertionError(spec.text)


def _missing_value(spec: Sound, draw: random.Random) -> Seed | None:
    index = _choose(spec, draw, lambda each: each == "=")
    if index is None:
        return None
    start = spec.tokens[index].end_pos or 0
    value = getattr(spec.statements[spec.owner[index]], "value", None)
    if value is None or not start <= value.start:
        return None  # an argument of a call
    end = value.end
    # a value's own span ends before the bracket that closes around its last part
    while spec.text.count("(", start, end) > spec.text.count(")", start, end):
        end = spec.text.index(")", end) + 1
    return Seed("missing value", start, end, "", start - 1, spec.owner[index])


def _missing_equals(spec: Sound, draw: random.Random) -> Seed | None:
    index = _choose(spec, draw, lambda each: each == "=")
    return None if index is None else _at(spec, index, "missing =", "")


def _stray(spec: Sound, draw: random.Random) -> Seed | None:
    index = _choose(spec, draw, lambda each: each.type != "STRING")
    if index is None:
        return None
    token = spec.tokens[index]
    place = (token.start_pos or 0) + draw.randint(0, len(token))
    return Seed("stray character", place, place, draw.choice(STRAY), place, spec.beside(index, place))


def _doubled(spec: Sound, draw: random.Random) -> Seed | None:
    index = _choose(spec, draw, lambda each: str(each) in OPERATORS)
    if index is None:
        return None
    other = str(spec.tokens[index]) if draw.random() < 0.6 else draw.choice(sorted(OPERATORS))
    return _at(spec, index, "doubled operator", f"{spec.tokens[index]} {other}")


def _bad_number(spec: Sound, draw: random.Random) -> Seed | None:
    index = _choose(spec, draw, lambda each: each.type == "NUMBER")
    if index is None or isinstance(spec.statements[spec.owner[index]], tree.Edition):
        return None
    return _at(spec, index, "bad number", draw.choice(BAD_NUMBERS))


def _open_string(spec: Sound, draw: random.Random) -> Seed | None:
    index = _choose(spec, draw, lambda each: each.type == "STRING")
    if index is None:
        return None
    token = spec.tokens[index]
    return _at(spec, index, "unterminated string", str(token)[:-1], line=spec.line(token.start_pos or 0))


_SEEDERS: dict[str, Callable[[Sound, random.Random], Seed | None]] = {
    "unclosed brace": _unclosed("unclosed brace", "}"),
    "unclosed bracket": _unclosed("unclosed bracket", "])"),
    "missing value": _missing_value,
    "missing =": _missing_equals,
    "stray character": _stray,
    "doubled operator": _doubled,
    "bad number": _bad_number,
    "unterminated string": _open_string,
}
KINDS = tuple(_SEEDERS)
