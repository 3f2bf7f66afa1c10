"""The syntax tree of a `.llm` file: frozen nodes, each with its place as offsets `start` (included) and `end` (not)."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Node:
    start: int
    end: int


@attrs.frozen(kw_only=True)
class Number(Node):
    """A number as it is written; `language.numbers` reads it."""

    text: str


@attrs.frozen(kw_only=True)
class String(Node):
    """A string as it is written, quotes included."""

    text: str


@attrs.frozen(kw_only=True)
class Constant(Node):
    """true, false, none or default."""

    name: str


@attrs.frozen(kw_only=True)
class Selector(Node):
    """`[3]`, or `[0:3]` where `stop` is not None."""

    first: Expr
    stop: Expr | None = None


@attrs.frozen(kw_only=True)
class Step(Node):
    """One name of a path, with the layers that it selects."""

    name: str
    selector: Selector | None = None


@attrs.frozen(kw_only=True)
class Reference(Node):
    """A name, or a path of names: `dim`, `acme.ring`, `model.layers[3].attention`; `slot` in `norm:layer`."""

    steps: tuple[Step, ...]
    slot: str | None = None

    @property
    def name(self) -> str:
        return ".".join(step.name for step in self.steps)

    @property
    def simple(self) -> bool:
        """Whether this is one bare name."""
        return len(self.steps) == 1 and self.slot is None and self.steps[0].selector is None


@attrs.frozen(kw_only=True)
class ListOf(Node):
    items: tuple[Expr, ...]


@attrs.frozen(kw_only=True)
class Unary(Node):
    """`-x` or `not x`, `times` times over."""

    operator: str
    times: int
    operand: Expr


@attrs.frozen(kw_only=True)
class Chain(Node):
    """`a + b - c`: operands and the operators between them, all of one binding strength, read from the left."""

    operands: tuple[Expr, ...]
    operators: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Named(Node):
    """`to = 34` in a call."""

    name: str
    value: Expr


@attrs.frozen(kw_only=True)
class Call(Node):
    function: Reference
    arguments: tuple[Expr | Named, ...]


@attrs.frozen(kw_only=True)
class Amended(Node):
    """`base { … }`: a copy of the base, with changes."""

    base: Expr
    bodies: tuple[Body, ...]


@attrs.frozen(kw_only=True)
class Assign(Node):
    """`target = value`."""

    target: Reference
    value: Expr


@attrs.frozen(kw_only=True)
class Merge(Node):
    """`target { … }`."""

    target: Reference
    body: Body


@attrs.frozen(kw_only=True)
class Body(Node):
    entries: tuple[Assign | Merge, ...]


@attrs.frozen(kw_only=True)
class Edition(Node):
    text: str


@attrs.frozen(kw_only=True)
class Extends(Node):
    file: String


@attrs.frozen(kw_only=True)
class Let(Node):
    """`let name = value`; `place` is that of the name."""

    name: str
    place: Node
    value: Expr


@attrs.frozen(kw_only=True)
class Param(Let):
    """`param name = value`."""


@attrs.frozen(kw_only=True)
class Require(Node):
    condition: Expr
    why: String | None = None


Expr = Number | String | Constant | Reference | ListOf | Unary | Chain | Call | Amended
Statement = Edition | Extends | Let | Param | Require | Assign | Merge


@attrs.frozen(kw_only=True)
class File(Node):
    statements: tuple[Statement, ...]

