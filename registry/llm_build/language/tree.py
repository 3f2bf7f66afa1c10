"""The syntax tree of a `.llm` file: frozen nodes, each with its place as offsets `start` (included) and `end` (not).

Named tuples, because they are made by the thousand and cost little to import.
"""

from __future__ import annotations

from typing import NamedTuple


class Node(NamedTuple):
    """A place, where nothing else is to be kept."""

    start: int
    end: int


class Number(NamedTuple):
    """A number as it is written; `language.numbers` reads it."""

    start: int
    end: int
    text: str


class String(NamedTuple):
    """A string as it is written, quotes included."""

    start: int
    end: int
    text: str


class Faulty(NamedTuple):
    """A value that is missing or cannot be read; its fault is reported already."""

    start: int
    end: int


class Constant(NamedTuple):
    """true, false, none or default."""

    start: int
    end: int
    name: str


class Selector(NamedTuple):
    """`[3]`, or `[0:3]` where `stop` is not None."""

    start: int
    end: int
    first: Expr
    stop: Expr | None = None


class Step(NamedTuple):
    """One name of a path, with the layers that it selects."""

    start: int
    end: int
    name: str
    selector: Selector | None = None


class Reference(NamedTuple):
    """A name, or a path of names: `dim`, `acme.ring`, `model.layers[3].attention`; `slot` in `norm:layer`."""

    start: int
    end: int
    steps: tuple[Step, ...]
    slot: str | None = None

    @property
    def name(self) -> str:
        return ".".join(step.name for step in self.steps)

    @property
    def simple(self) -> bool:
        """Whether this is one bare name."""
        return len(self.steps) == 1 and self.slot is None and self.steps[0].selector is None


class ListOf(NamedTuple):
    start: int
    end: int
    items: tuple[Expr, ...]


class Unary(NamedTuple):
    """`-x` or `not x`, `times` times over."""

    start: int
    end: int
    operator: str
    times: int
    operand: Expr


class Chain(NamedTuple):
    """`a + b - c`: operands and the operators between them, all of one binding strength, read from the left."""

    start: int
    end: int
    operands: tuple[Expr, ...]
    operators: tuple[str, ...]


class Named(NamedTuple):
    """`to = 34` in a call."""

    start: int
    end: int
    name: str
    value: Expr


class Call(NamedTuple):
    start: int
    end: int
    function: Reference
    arguments: tuple[Expr | Named, ...]


class Amended(NamedTuple):
    """`base { … }`: a copy of the base, with changes."""

    start: int
    end: int
    base: Expr
    bodies: tuple[Body, ...]


class Assign(NamedTuple):
    """`target = value`."""

    start: int
    end: int
    target: Reference
    value: Expr


class Merge(NamedTuple):
    """`target { … }`."""

    start: int
    end: int
    target: Reference
    body: Body


class Body(NamedTuple):
    start: int
    end: int
    entries: tuple[Assign | Merge, ...]


class Edition(NamedTuple):
    start: int
    end: int
    text: str


class Extends(NamedTuple):
    start: int
    end: int
    file: String


class Let(NamedTuple):
    """`let name = value`; `place` is that of the name."""

    start: int
    end: int
    name: str
    place: Node | Reference
    value: Expr


class Param(NamedTuple):
    """`param name = value`."""

    start: int
    end: int
    name: str
    place: Node | Reference
    value: Expr


class Require(NamedTuple):
    start: int
    end: int
    condition: Expr
    why: String | None = None


Expr = Number | String | Constant | Faulty | Reference | ListOf | Unary | Chain | Call | Amended
Statement = Edition | Extends | Let | Param | Require | Assign | Merge


class Doubt(NamedTuple):
    """A stretch that was not read with certainty: what it seems to mean is no ground for a fault.

    Where `structure` is True only what stands where is in doubt: its numbers and strings are as written.
    """

    start: int
    end: int
    structure: bool = False


class File(NamedTuple):
    """`doubts` and `whole` speak of what syntax faults left: `whole` is False where a statement's name was lost."""

    start: int
    end: int
    statements: tuple[Statement, ...]
    doubts: tuple[Doubt, ...] = ()
    whole: bool = True


Placed = Node | Expr | Statement | Selector | Step | Named | Body | File
