"""Numbers as they are written: exact, with `_` between digits, a unit, an exponent or a percent sign."""

from __future__ import annotations

import re
from fractions import Fraction

from llm_build.language.values import Share, Wrong

UNITS = {
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "k": 10**3,
    "M": 10**6,
    "B": 10**9,
    "T": 10**12,
}
EXPONENT_LIMIT = 400
DIGITS_LIMIT = 400

_NUMBER = re.compile(
    r"(?P<whole>[0-9]+(?:_[0-9]+)*)(?:\.(?P<part>[0-9]+(?:_[0-9]+)*))?"
    r"(?:[eE](?P<exponent>[+-]?[0-9]+)|(?P<unit>Ki|Mi|Gi|k|M|B|T))?(?P<percent>%)?"
)
_WRONG_UNITS = {"K": "k or {0}Ki", "G": "B or {0}Gi", "m": "M or {0}Mi", "Ti": "T", "b": "B", "t": "T", "g": "Gi"}


def read_number(text: str) -> Fraction | Share:
    """The exact value of a number, or a `Share` for a percentage. Raises `Wrong` with the right spelling."""
    match = _NUMBER.fullmatch(text)
    if match is None or not text.isascii():
        raise Wrong(f"{text} is not a number", _advice(text), "E104")
    whole, part = match["whole"].replace("_", ""), (match["part"] or "").replace("_", "")
    exponent = match["exponent"] or "0"
    if len(whole) + len(part) > DIGITS_LIMIT or len(exponent) > 5 or abs(int(exponent)) > EXPONENT_LIMIT:
        raise Wrong(
            f"a number has at most {DIGITS_LIMIT} digits and an exponent within ±{EXPONENT_LIMIT}",
            f"write a smaller number than {text[:20]}…",
            "E104",
        )
    value = Fraction(int(whole + part), 10 ** len(part)) * Fraction(10) ** int(exponent) * UNITS.get(match["unit"], 1)
    return Share(value / 100) if match["percent"] else value


def _near(unit: str) -> str:
    """The units that another spelling may mean: KB is k or Ki, kib is Ki."""
    bare = unit[:-1] if unit[-1] in "bB" and len(unit) > 1 else unit
    return _WRONG_UNITS.get(bare) or {each.lower(): each for each in UNITS}.get(bare.lower(), "")


def _advice(text: str) -> str:
    if text.startswith("."):
        return f"write 0{text}"
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = text[len(digits) :]
    if unit and _NUMBER.fullmatch(digits):
        near = _WRONG_UNITS.get(unit) or _near(unit)
        if near:
            return f"write {digits}{near.format(digits)}"
    if text.lower().startswith(("0x", "0b", "0o")):
        try:
            return f"write {int(text, 0)}"
        except ValueError:
            pass
    return "write digits with _ between them, then a unit (k M B T, Ki Mi Gi), an exponent (3e-4) or a percent sign"
