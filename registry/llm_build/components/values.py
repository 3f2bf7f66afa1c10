"""What a field may hold beside plain values, and what a component says of a fault."""

from __future__ import annotations

from enum import Enum
from typing import Final

import attrs


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


@attrs.frozen(kw_only=True)
class Problem:
    """One fault of a config, found by the config itself.

    `field` is the field at fault ("" for the component as a whole); the core maps it to its place in the text.
    `message` says what must hold and what arrived; `help` says what to write instead.
    """

    field: str
    message: str
    help: str = ""
    code: str = "E301"
    related: tuple[str, ...] = ()
    """Other fields, of this component or of those around it, that explain the fault."""

    def __attrs_post_init__(self) -> None:
        texts = (self.field, self.message, self.help, self.code)
        if isinstance(self.related, str) or not all(isinstance(each, str) for each in (*texts, *self.related)):
            raise TypeError(f"a Problem has texts, and a tuple of texts for related; {self!r} arrived")
