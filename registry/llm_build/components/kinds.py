"""What a config field may hold. Each kind accepts or refuses a value; text and Python meet the same kinds.

A number arrives as an exact `Fraction` from a spec, as `int` or `float` from Python, and leaves as the module reads it.
"""

from __future__ import annotations

import json
from fractions import Fraction
from numbers import Real
from typing import Any, Protocol

import attrs

from llm_build.components.values import Refusal
from llm_build.language.values import BIDIRECTIONAL, LAYER_LIMIT, Share, shown, similar

SIZE_LIMIT = 2**63


class Kind(Protocol):
    """What a field may hold."""

    def accept(self, value: Any) -> Any:
        """The value as the module will read it, or a `Refusal`."""

    def describe(self) -> str:
        """A few words for messages: "a whole number from 1 to 64"."""

    def example(self) -> str:
        """A value to write instead, for help."""

    def write(self, value: Any) -> str:
        """An accepted value as the text of a spec."""


def quoted(text: str) -> str:
    """A string literal: as it is, but for what JSON escapes and for characters that a spec must not hold."""
    literal = json.dumps(text, ensure_ascii=False)
    return "".join(f"\\u{ord(char):04x}" if char in BIDIRECTIONAL else char for char in literal)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _wrong_type(kind: Kind, value: Any) -> Refusal:
    return Refusal(f"takes {kind.describe()}; {shown(value)} arrived", f"write {kind.example()}")


@attrs.frozen(eq=False)
class SizeKind:
    """A whole number of things: at least `low`, at most `high`, always below 2**63."""

    low: int = 1
    high: int = SIZE_LIMIT - 1

    def accept(self, value: Any) -> int | Refusal:
        if not _is_number(value) or value != value or value in (float("inf"), float("-inf")):
            return _wrong_type(self, value)
        exact = Fraction(value)
        if exact.denominator != 1:
            return Refusal(
                f"takes {self.describe()}; {shown(value)} is not whole",
                f"write {exact.numerator // exact.denominator}, or floor a division with `//`",
            )
        if not self.low <= exact <= self.high:
            return _wrong_type(self, value)
        return int(exact)

    def describe(self) -> str:
        if self.high == SIZE_LIMIT - 1:
            return f"a whole number of at least {self.low}"
        return f"a whole number from {self.low} to {self.high:_}"

    def example(self) -> str:
        return f"a size such as {min(max(self.low, 64), self.high)}"

    def write(self, value: Any) -> str:
        return str(int(value))


@attrs.frozen(kw_only=True, eq=False)
class NumberKind:
    """A real number, rounded once to the nearest float64. `low` and `high` may be reached, `above` and `below` not."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None

    def accept(self, value: Any) -> float | Refusal:
        if not _is_number(value) or value != value:
            return _wrong_type(self, value)
        try:
            rounded = float(value)
        except OverflowError:
            return Refusal(
                "takes a number within the range of float64; a larger one arrived", "write one below 1.8e308"
            )
        if rounded in (float("inf"), float("-inf")):
            return _wrong_type(self, value)
        return rounded if self._holds(rounded) else _wrong_type(self, value)

    def _holds(self, value: float) -> bool:
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def describe(self) -> str:
        words = [
            f"{word} {bound:g}"
            for word, bound in (
                ("at least", self.low),
                ("above", self.above),
                ("at most", self.high),
                ("below", self.below),
            )
            if bound is not None
        ]
        return " ".join(["a number", " and ".join(words)]).rstrip()

    def example(self) -> str:
        return f"a number such as {self._inside():g}"

    def _inside(self) -> float:
        tries = (0.1, 1.0, 10.0, self.low, self.high)
        return next((each for each in tries if each is not None and self._holds(each)), 0.5)

    def write(self, value: Any) -> str:
        return repr(float(value)) if float(value) != int(value) or abs(value) >= 2**53 else str(int(value))


class AmountKind:
    """A count of steps, or a share of all steps (`1%`). 0.01 is neither, and refused."""

    def accept(self, value: Any) -> int | Share | Refusal:
        if isinstance(value, Share):
            if 0 <= value.fraction <= 1:
                return value
            return Refusal(f"takes a share from 0% to 100%; {value} arrived", "write 1%")
        count = SizeKind(low=0).accept(value)
        if not isinstance(count, Refusal):
            return count
        if _is_number(value) and 0 < value < 1:
            return Refusal(f"takes {self.describe()}; {shown(value)} is neither", f"write {_percent(value)}")
        return _wrong_type(self, value)

    def describe(self) -> str:
        return "a count (100) or a share of the whole (1%)"

    def example(self) -> str:
        return "100 or 1%"

    def write(self, value: Any) -> str:
        return str(value)


def _percent(value: Any) -> str:
    return str(Share(Fraction(str(value)) if isinstance(value, float) else Fraction(value)))


class ShareKind:
    """A share of something, always written with its percent sign."""

    def accept(self, value: Any) -> Share | Refusal:
        if isinstance(value, Share) and 0 <= value.fraction <= 1:
            return value
        if _is_number(value) and 0 <= value <= 1:
            return Refusal(f"takes {self.describe()}; {shown(value)} arrived", f"write {_percent(value)}")
        return _wrong_type(self, value)

    def describe(self) -> str:
        return "a share from 0% to 100%"

    def example(self) -> str:
        return "10%"

    def write(self, value: Any) -> str:
        return str(value)


class FlagKind:
    """true or false, and nothing that merely looks like it."""

    def accept(self, value: Any) -> bool | Refusal:
        return value if isinstance(value, bool) else _wrong_type(self, value)

    def describe(self) -> str:
        return "true or false"

    def example(self) -> str:
        return "true or false"

    def write(self, value: Any) -> str:
        return "true" if value else "false"


class TextKind:
    """Any string that is not empty and can be written in UTF-8."""

    def accept(self, value: Any) -> str | Refusal:
        if not isinstance(value, str) or not value:
            return _wrong_type(self, value)
        if value.encode(errors="replace").decode() != value:
            return Refusal("takes text that UTF-8 can hold; a lone surrogate arrived", "delete it")
        return value

    def describe(self) -> str:
        return 'a string ("…")'

    def example(self) -> str:
        return 'a string: "…"'

    def write(self, value: Any) -> str:
        return quoted(value)


class PathKind(TextKind):
    """A path with `/` between its parts, relative to the file that holds the literal."""

    def accept(self, value: Any) -> str | Refusal:
        if isinstance(value, str) and "\\" in value:
            return Refusal(f"takes {self.describe()}; {shown(value)} arrived", "write `/` between the parts of a path")
        return TextKind.accept(self, value)

    def describe(self) -> str:
        return 'a path ("folder/file")'


@attrs.frozen(eq=False)
class ChoiceKind:
    """One of a few strings."""

    options: tuple[str, ...]

    def accept(self, value: Any) -> str | Refusal:
        if isinstance(value, str) and value in self.options:
            return value
        refusal = _wrong_type(self, value)
        near = similar(value, self.options) if isinstance(value, str) else ""
        return attrs.evolve(refusal, help=f"write {json.dumps(near)}") if near else refusal

    def describe(self) -> str:
        return "one of " + ", ".join(json.dumps(each) for each in self.options)

    def example(self) -> str:
        return json.dumps(self.options[0])

    def write(self, value: Any) -> str:
        return json.dumps(value)


@attrs.frozen(kw_only=True, eq=False)
class ManyKind:
    """A list whose elements are all of one kind, at least `least` and at most `most` of them."""

    of: Kind
    least: int = 0
    most: int | None = None

    def accept(self, value: Any) -> tuple[Any, ...] | Refusal:
        if not isinstance(value, (list, tuple)):
            return _wrong_type(self, value)
        if len(value) < self.least or (self.most is not None and len(value) > self.most):
            return Refusal(f"takes {self.describe()}; {len(value)} arrived", f"write {self.example()}")
        accepted = [self.of.accept(each) for each in value]
        for index, each in enumerate(accepted):
            if isinstance(each, Refusal):
                return attrs.evolve(each, message=f"has an element [{index}] that {each.message}")
        return tuple(accepted)

    def describe(self) -> str:
        if self.most == self.least:
            return f"a list of {self.least}, each {self.of.describe()}"
        return f"a list of at least {self.least}, each {self.of.describe()}"

    def example(self) -> str:
        return f"a list: [{self.of.example()}]"

    def write(self, value: Any) -> str:
        return "[" + ", ".join(self.of.write(each) for each in value) + "]"


@attrs.frozen(eq=False)
class PartKind:
    """Another component, from a slot. What is inside it is checked as that component's own."""

    slot: str

    def accept(self, value: Any) -> Any:
        info = getattr(value, "__component__", None)
        if info and info.slot == self.slot:
            return value
        if info:
            return Refusal(f"takes {self.describe()}; {info.id} arrived", f"write {self.example()}")
        return _wrong_type(self, value)

    def describe(self) -> str:
        return f"a component of slot {self.slot}"

    def example(self) -> str:
        return f"a component of slot {self.slot}"

    def write(self, value: Any) -> str:
        raise TypeError("a component is written by language.writer")


@attrs.frozen(eq=False)
class PartsKind:
    """A list of components from one slot; one of them is a list of one."""

    slot: str

    def accept(self, value: Any) -> Any:
        items = value if isinstance(value, (list, tuple)) else (value,)
        for each in items:
            accepted = PartKind(self.slot).accept(each)
            if isinstance(accepted, Refusal):
                return accepted
        if not 0 < len(items) <= LAYER_LIMIT:
            arrived = f"{len(items):_}" if items else "an empty list"
            return Refusal(f"takes from 1 to {LAYER_LIMIT:_} components; {arrived} arrived", f"write {self.example()}")
        return tuple(items)

    def describe(self) -> str:
        return f"one or more components of slot {self.slot}"

    def example(self) -> str:
        return "4 * block { … }"

    def write(self, value: Any) -> str:
        raise TypeError("a component is written by language.writer")
