"""Writing specs: blocks of fields laid out as a person would, with runs and cycles of layers found again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import attrs

from llm_build.language.files import EDITION
from llm_build.language.formatter import format_text

WIDTH = 100
INDENT = "  "


@attrs.frozen
class Written:
    """A component as text: its name, and each field with a plain value as text, a component, or a list of layers."""

    head: str
    fields: tuple[tuple[str, str | Written | tuple[Written, ...]], ...] = ()


def write_spec(root: Written) -> str:
    """The text of a spec. Blocks that stand in several places of a pattern become lets; a single one stays in place."""
    writer = _Writer()
    body = [f"{name} = {writer.value(value, 0)}" for name, value in root.fields]
    return format_text("\n\n".join([f"llm {EDITION}", *writer.lets, *body]) + "\n")


def write_component(component: Written) -> str:
    """The text of one component, as it stands behind the `=` of a field. Its layers, if any, must be equal."""
    return _Writer().value(component, 0)


def write_let(name: str, component: Written) -> str:
    """The text of a spec that is nothing but a component under a name, and what its layers are."""
    writer = _Writer()
    body = f"let {name} = {writer.value(component, 0)}"
    return format_text("\n\n".join([f"llm {EDITION}", *writer.lets, body]) + "\n")


class _Writer:
    def __init__(self) -> None:
        self.lets: list[str] = []

    def value(self, value: str | Written | tuple[Written, ...], depth: int) -> str:
        if isinstance(value, str):
            return value
        return self._layers(value, depth) if isinstance(value, tuple) else self._component(value, depth)

    def _component(self, value: Written, depth: int) -> str:
        if not value.fields:
            return value.head
        fields = [f"{name} = {self.value(each, depth + 1)}" for name, each in value.fields]
        line = f"{value.head} {{ {', '.join(fields)} }}"
        if len(line) + len(INDENT) * depth <= WIDTH and "\n" not in line and len(fields) <= 6:
            return line
        inner = "".join(f"{INDENT * (depth + 1)}{each}\n" for each in fields)
        return f"{value.head} {{\n{inner}{INDENT * depth}}}"

    def _layers(self, layers: tuple[Written, ...], depth: int) -> str:
        distinct = list(dict.fromkeys(layers))
        if len(distinct) == 1:
            return _times(len(layers), self._component(distinct[0], depth))
        names = {each: self._let(each) for each in distinct}
        return pattern([names[each] for each in layers])

    def _let(self, block: Written) -> str:
        text = self._component(block, 0)
        name = f"layer_{len(self.lets) + 1}"
        self.lets.append(f"let {name} = {text}")
        return name


def pattern(names: Sequence[str]) -> str:
    """The shortest algebra for a list of layers: `3 * a + 58 * b`, `12 * (a + b)`, `cycle(5 * a + b, to = 34)`."""
    plain = _runs(names)
    period = _period(names)
    if period > len(names) // 2:
        return plain
    inner = _runs(names[:period])
    whole, rest = divmod(len(names), period)
    short = f"cycle({inner}, to = {len(names)})" if rest else f"{whole} * ({inner})"
    return min(plain, short, key=len)


def _runs(names: Sequence[str]) -> str:
    return " + ".join(_times(len(list(run)), name) for name, run in groupby(names))


def _times(count: int, text: str) -> str:
    return text if count == 1 else f"{count} * {text}"


def _period(names: Sequence[str]) -> int:
    """The smallest shift under which the list repeats itself, by the prefix function of Knuth, Morris and Pratt."""
    prefix = [0] * len(names)
    for index in range(1, len(names)):
        length = prefix[index - 1]
        while length and names[index] != names[length]:
            length = prefix[length - 1]
        prefix[index] = length + (names[index] == names[length])
    return len(names) - prefix[-1]
