"""What expressions evaluate to, before any component is looked up. Every value knows where it was written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from fractions import Fraction
from typing import Any, Final

import attrs

from llm_build.diagnostics import Related, Span

LAYER_LIMIT = 4096
DEPTH_LIMIT = 64
LOST_LIMIT = 64
BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _decimal(fraction: Fraction) -> Fraction:
    """The fraction whose percentage is the shortest decimal of a float64: what can be written can be read again."""
    return Fraction(repr(float(Fraction(fraction) * 100))) / 100


@attrs.frozen
class Share:
    """A share of a whole, as `1%` in a spec: `Share.percent(1)`. Not a number: 0.01 is never taken for it.

    Its percentage is rounded to the nearest float64, once.
    """

    fraction: Fraction = attrs.field(converter=_decimal)

    @classmethod
    def percent(cls, value: int | Fraction | str) -> Share:
        return cls(Fraction(value) / 100)

    def of(self, whole: int) -> int:
        """The share of a whole number of things, rounded to the nearest."""
        return round(self.fraction * whole)

    def __float__(self) -> float:
        return float(self.fraction)

    def __str__(self) -> str:
        percent = self.fraction * 100
        if percent.denominator == 1:
            return f"{percent.numerator}%"
        return f"{float(percent)!r}%"


class Mark(Enum):
    """`default` takes a field back to unset; `faulty` stands for a value whose fault is reported already."""

    DEFAULT = "default"
    FAULTY = "faulty"


DEFAULT: Final = Mark.DEFAULT
FAULTY: Final = Mark.FAULTY


class Wrong(Exception):
    """A value, an operator or a function that cannot be: a code, what must hold, and what to write instead."""

    def __init__(self, message: str, help: str = "", code: str = "E206") -> None:
        self.message, self.help, self.code = message, help, code
        super().__init__(message)


@attrs.frozen(eq=False, repr=False)
class Head:
    """The name of a component as it is written: `gqa`, `acme.ring`, or `norm:layer` with its slot."""

    name: str
    slot: str | None
    span: Span
    hint: Callable[[], str] = str
    """What to write where no component of this name is meant ("add `param dim = 512`")."""
    scope: Callable[[], Iterable[str]] = tuple
    """The names of the lets and params that stand above."""

    def __str__(self) -> str:
        return f"{self.slot}:{self.name}" if self.slot else self.name


@attrs.frozen(eq=False, repr=False)
class Setting:
    """One field of a component as it is written: the place of its name, and its value."""

    place: Span
    value: Value


@attrs.frozen(eq=False, repr=False)
class Component:
    """`head { fields }`. Without a head it is a change to what the field's declared default is."""

    head: Head | None
    fields: Mapping[str, Setting]
    span: Span
    depth: int = attrs.field(init=False)

    @depth.default
    def _depth(self) -> int:
        return 1 + max((depth_of(each.value) for each in self.fields.values()), default=0)


Data = Fraction | Share | str | bool | None | Mark | Component | Head | tuple["Value", ...]
"""A bare name that is no let and no param is a `Head`; a list, and a sum or multiple of layers, is a tuple."""


@attrs.frozen(eq=False, repr=False)
class Value:
    """A value and the place of its use. `related` explains it ("`d` set here"); `via` names the let it came through."""

    data: Data
    span: Span
    via: str = ""
    related: tuple[Related, ...] = ()
    home: Span | None = None
    """For a string: the literal itself, whose file a path is relative to."""
    lost: tuple[Component, ...] = ()
    """Of a faulty value: components that stand inside it, which are checked all the same."""

    def used_at(self, span: Span, name: str, place: Span) -> Value:
        """This value where a let or param of that name is used."""
        return attrs.evolve(self, span=span, via=name, related=(Related(f"`{name}` set here", place),))


def lost_in(values: Iterable[Value]) -> tuple[Component, ...]:
    """The components of values that came to nothing, each once."""
    found: dict[int, Component] = {}
    for value in values:
        items = [each.data for each in value.data] if isinstance(value.data, tuple) else [value.data]
        for each in (*items, *value.lost):
            if isinstance(each, Component) and len(found) < LOST_LIMIT:
                found[id(each)] = each
    return tuple(found.values())


def depth_of(value: Value) -> int:
    """How deep components nest in a value."""
    if isinstance(value.data, Component):
        return value.data.depth
    if isinstance(value.data, tuple):
        return max((depth_of(each) for each in _distinct(value.data)), default=0)
    return 0


def _distinct(items: tuple[Value, ...]) -> list[Value]:
    return list({id(each.data): each for each in items}.values())


def described(data: Data) -> str:
    """A few words for messages."""
    if isinstance(data, Component):
        return f"the component {data.head}" if data.head else "a change to a component"
    if isinstance(data, Head):
        return f"the name {data}"
    if isinstance(data, tuple):
        return f"a list of {len(data)}"
    if isinstance(data, Mark):
        return "`default`"
    words: dict[type, str] = {Fraction: "a number", Share: "a share", str: "a string", bool: "true or false"}
    return "none" if data is None else words.get(type(data), "a component")


def shown(value: Any) -> str:
    """A value as a person would write it, for messages."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Fraction)):
        return _shown_number(Fraction(value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Value):
        return shown(value.data)
    if isinstance(value, (Mark, Component, Head)):
        return described(value)
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(shown(each) for each in value) + "]"
    return str(value)


def _shown_number(value: Fraction) -> str:
    if value.denominator == 1:
        return f"{value.numerator:_}" if abs(value) < 10**18 else "a number of more than 18 digits"
    decimal = repr(float(value))
    if Fraction(decimal) == value:
        return decimal
    return str(value) if value.denominator < 10**9 else f"about {decimal}"


def too_many(count: int) -> Wrong:
    """The fault of a list that is too long."""
    return Wrong(f"a list has at most {LAYER_LIMIT:_} layers; {shown(count)} are asked for", "use fewer", "E212")


def beyond(name: str, count: int, first: int, stop: int) -> Wrong:
    """The fault of selecting layers that are not there."""
    what = f"[{first}]" if stop == first + 1 else f"[{first}:{stop}]"
    advice = f"select from 0 to {count - 1}" if count else f"give `{name}` its layers first"
    return Wrong(f"`{name}` holds {count} layers; {what} selects beyond them", advice, "E211")


def similar(name: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """The name that is nearest to a misspelt one, or "" where none is near."""
    from difflib import get_close_matches  # only a fault needs it

    return next(iter(get_close_matches(name, list(names), 1, cutoff)), "")
