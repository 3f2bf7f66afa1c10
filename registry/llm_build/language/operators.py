"""Operators and built-in functions on values: exact, and never a conversion from one type to another."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from llm_build.language.values import LAYER_LIMIT, Component, Data, Head, Share, Wrong, described, shown, too_many

BITS_LIMIT = 8192
ROOT_BITS = 256


class Unbound(Exception):
    """A bare name that is no let and no param stands where only a number, a string or a truth value can."""

    def __init__(self, head: Head) -> None:
        self.head = head
        super().__init__(str(head))


def is_layers(data: Data) -> bool:
    """Whether `+` and `*` build a list of layers with this."""
    return isinstance(data, (Component, Head, tuple))


def number(data: Any, role: str) -> Fraction:
    """The operand as a number, or the fault that it is not one."""
    if isinstance(data, Head):
        raise Unbound(data)
    if not isinstance(data, Fraction):
        raise Wrong(f"{role} takes numbers; {_seen(data)} arrived", "write numbers on both sides")
    return data


def _seen(data: Any) -> str:
    if isinstance(data, (Component, Head, tuple)):
        return described(data)
    if data is None or not isinstance(data, PLAIN):
        return described(data)
    return f"{described(data)} ({shown(data)})"


def divide(left: Fraction, right: Fraction) -> Fraction:
    _not_zero(right)
    return left / right


def floor_divide(left: Fraction, right: Fraction) -> Fraction:
    _not_zero(right)
    return Fraction(left // right)


def _not_zero(divisor: Fraction) -> None:
    if divisor == 0:
        raise Wrong("a divisor must not be 0", "divide by something else", "E207")


ARITHMETIC: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": divide,
    "//": floor_divide,
}
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def arithmetic(operator: str, left: Data, right: Data) -> Fraction:
    """Exact arithmetic; a result beyond a few thousand digits is a fault."""
    role = f"`{operator}`"
    return bounded(ARITHMETIC[operator](number(left, role), number(right, role)))


def bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > BITS_LIMIT:
        raise Wrong(f"a number may take {BITS_LIMIT} bits; this one takes more", "write a smaller expression", "E212")
    return value


PLAIN = (bool, str, Fraction, Share)


def compare(operator: str, left: Data, right: Data) -> bool:
    """`==` and `!=` on plain values of one type, the others on numbers and on shares."""
    for each in (left, right):
        if isinstance(each, Head):
            raise Unbound(each)
    for each in (left, right):
        if each is not None and not isinstance(each, PLAIN):
            raise Wrong(f"`{operator}` compares plain values; {described(each)} arrived", "compare one of its fields")
    if operator in {"==", "!="}:
        if left is not None and right is not None and type(left) is not type(right):
            raise Wrong(
                f"`{operator}` compares values of one type; {_seen(left)} and {_seen(right)} arrived",
                "compare a number with a number, a string with a string",
            )
        return (left == right) is (operator == "==")
    if isinstance(left, Share) and isinstance(right, Share):
        return ORDER[operator](left.fraction, right.fraction)
    return ORDER[operator](number(left, f"`{operator}`"), number(right, f"`{operator}`"))


def truth(data: Data, role: str) -> bool:
    """The operand as true or false, or the fault that it is neither."""
    if isinstance(data, Head):
        raise Unbound(data)
    if not isinstance(data, bool):
        raise Wrong(f"{role} takes true or false; {_seen(data)} arrived", "compare with == or <")
    return data


def repeats(count: Data, role: str) -> int:
    """How many layers: whole, at least 0, at most the limit."""
    value = number(count, role)
    if value.denominator != 1 or value < 0:
        raise Wrong(
            f"{role} takes a whole number of layers; {shown(value)} arrived",
            "write one from 0 up; `//` floors a division",
            "E211",
        )
    if value > LAYER_LIMIT:
        raise too_many(int(value))
    return int(value)


def square_root(value: Fraction) -> Fraction:
    """Exact for squares of fractions; else to 256 bits, so that a float is correctly rounded."""
    if value < 0:
        raise Wrong(f"sqrt takes a number of at least 0; {shown(value)} arrived", "write a number from 0 up")
    top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
    if top * top == value.numerator and bottom * bottom == value.denominator:
        return Fraction(top, bottom)
    scale = 1 << (2 * ROOT_BITS + 2 * value.denominator.bit_length())
    return Fraction(math.isqrt(value.numerator * scale // value.denominator), math.isqrt(scale))
