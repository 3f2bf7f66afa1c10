"""What a field may hold beside plain values, and what a component says of a fault."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import attrs

from llm_build.diagnostics import Severity
from llm_build.errors import PluginError

_CODES = {Severity.ERROR: "E301", Severity.WARNING: "W301"}


class Unset(Enum):
    """The type of `UNSET`, the mark of a field that a config does not state."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Final = Unset.UNSET


@attrs.frozen
class Refusal:
    """A value that a field cannot take. `message` goes on from the field's name: "takes a size; 1.5 arrived"."""

    message: str
    help: str = ""


def _severity(value: Any) -> Severity:
    if value not in (Severity.ERROR, Severity.WARNING):
        raise PluginError(f'the severity of a problem is "error" or "warning"; {value!r} arrived')
    return Severity(value)


@attrs.frozen(kw_only=True)
class Problem:
    """One fault of a config, found by the config itself, or with `severity="warning"` what it advises against.

    `field` is the field at fault ("" for the component as a whole); the core maps it to its place in the text.
    `message` says what must hold and what arrived; `help` says what to write instead. A warning stops nothing.
    Raises `PluginError` for a severity or a code that is not there.
    """

    field: str
    message: str
    help: str = ""
    severity: Severity = attrs.field(default=Severity.ERROR, converter=_severity)
    code: str = attrs.field()
    related: tuple[str, ...] = ()
    """Other fields, of this component or of those around it, that explain the fault."""

    @code.default
    def _usual_code(self) -> str:
        return _CODES[self.severity]

    @code.validator
    def _refuse_code(self, _attribute: Any, code: Any) -> None:
        usual = _CODES[self.severity]
        if not isinstance(code, str) or len(code) != len(usual) or code[0] != usual[0] or not code[1:].isdecimal():
            raise PluginError(
                f"a problem of severity {self.severity} has a code such as {usual}; {code!r} arrived; leave it out"
            )

    def __attrs_post_init__(self) -> None:
        texts = (self.field, self.message, self.help, self.code)
        if isinstance(self.related, str) or not all(isinstance(each, str) for each in (*texts, *self.related)):
            raise TypeError(f"a Problem has texts, and a tuple of texts for related; {self!r} arrived")
