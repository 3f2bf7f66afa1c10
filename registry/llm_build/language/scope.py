"""Names: the lets and params of one file, bound in one static pass, and the chain of files that extend each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from llm_build.diagnostics import Source, Span
from llm_build.language import tree
from llm_build.language.values import Value


@attrs.define(eq=False, repr=False)
class Binding:
    """A let or a param of one file, evaluated on first use."""

    node: tree.Let | tree.Param
    index: int
    level: int
    place: Span
    extent: Span
    uses: list[Span] = attrs.field(factory=list)
    value: Value | None = None
    busy: bool = False

    @property
    def is_param(self) -> bool:
        return isinstance(self.node, tree.Param)


@attrs.define(eq=False, repr=False)
class FileScope:
    """One file of a chain. `level` counts from the file that extends nothing."""

    source: Source
    statements: tuple[tree.Statement, ...]
    level: int
    bindings: dict[str, Binding] = attrs.field(factory=dict)

    _fields: dict[str, str] | None = None

    def span(self, node: tree.Placed) -> Span:
        return Span(self.source, node.start, node.end)

    def field_value(self, name: str) -> str | None:
        """What the file sets a field of this name to somewhere: "512", "width", or "…"; None where it never does."""
        if self._fields is None:
            self._fields = {}
            for node in _assigns(self.statements):
                if node.target.simple and self._fields.get(node.target.name, "…") == "…":
                    self._fields[node.target.name] = _short(node)
        return self._fields.get(name)


def _short(node: tree.Assign) -> str:
    value = node.value
    if isinstance(value, tree.Number):
        return value.text
    if isinstance(value, tree.Reference) and value.simple and value.name != node.target.name:
        return value.name
    return "…"


def _assigns(nodes: Iterable[object]) -> Iterator[tree.Assign]:
    """Every assignment at any depth, without recursion."""
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if isinstance(node, tree.Assign):
            yield node
        if isinstance(node, tuple):
            stack += node
