"""The parts of a model as rows of a table: its embedding, its layers one by one, its head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, TypeVar

import attrs
from torch import nn

from llm_build.components import Config, field_specs
from llm_build.cost.products import Products
from llm_build.cost.weights import active


@attrs.frozen(kw_only=True)
class Part:
    """A part of a model, or `count` equal ones in a row; the figures are those of one."""

    name: str
    component: str
    count: int = 1


P = TypeVar("P", bound=Part)


@attrs.frozen(kw_only=True)
class Row(Part):
    """`parameters` are those that no earlier row has; `active` those of them that one token makes use of.

    `flops` are the operations of a call a token, None where they could not be counted.
    """

    parameters: int
    active: int
    flops: int | None = None


def rows(model: nn.Module, config: Config, counted: Products | None = None) -> list[Row]:
    """Every part that is a component or has parameters, equal neighbours as one row. They sum to the whole model."""
    used, seen = active(model), set[nn.Parameter]()
    found: list[tuple[Row, Config | None]] = []
    for name, module, part in [*parts(model, config), ("", model, None)]:
        new = [each for each in module.parameters() if each not in seen]
        seen.update(new)
        if part is None and not new:
            continue
        row = Row(
            name=name or "the model itself",
            component=described(module, part),
            parameters=sum(each.numel() for each in new),
            active=sum(used[each] for each in new),
            flops=None if counted is None else round(counted.modules.get(module, Fraction(0))),
        )
        found.append((row, part))
    return merged(found)


def parts(module: nn.Module, config: Any, path: str = "") -> Iterator[tuple[str, nn.Module, Config | None]]:
    """(name, module, config) of the parts of a model, where lists of modules and what holds such lists are taken apart.

    The config is the one that the model's own has under the same name, or None.
    """
    for name, child in _children(module):
        of_child = _field(config, name)
        if isinstance(child, nn.ModuleList):
            for index, each in enumerate(child):
                yield f"{path}{name}.{index}", each, _item(of_child, index)
        elif any(isinstance(each, nn.ModuleList) for each in child.children()):
            yield from parts(child, of_child, f"{path}{name}.")
        else:
            yield f"{path}{name}", child, of_child if isinstance(of_child, Config) else None


def described(module: nn.Module, config: Config | None) -> str:
    """A component and the components right inside of it: "block: pre, rms, gqa, swiglu"."""
    if config is None:
        return type(module).__name__
    held = [getattr(config, name) for name in field_specs(config)]
    inside = ", ".join(each.__component__.name for each in held if isinstance(each, Config))
    name = config.__component__.name
    return f"{name}: {inside}" if inside else name


def merged(found: Sequence[tuple[P, Config | None]]) -> list[P]:
    """Neighbours in a list that have equal configs and figures become one row: "layers.0-7"."""
    made: list[tuple[P, Config | None]] = []
    for row, config in found:
        last, before = made[-1] if made else (None, None)
        if last is not None and before == config and _alike(last, row):
            first = last.name.rpartition("-")[0] or last.name
            name = f"{first}-{row.name.rpartition('.')[2]}"
            made[-1] = attrs.evolve(last, name=name, count=last.count + 1), config
        else:
            made.append((row, config))
    return [row for row, _ in made]


def _alike(one: Part, other: Part) -> bool:
    (list_of_one, _, _), (list_of_other, _, index) = one.name.rpartition("."), other.name.rpartition(".")
    same = attrs.evolve(one, name="", count=1) == attrs.evolve(other, name="", count=1)
    return same and index.isdecimal() and list_of_one == list_of_other


def _children(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    # named_children leaves out what has stood before, and a layer may stand twice
    return ((name, each) for name, each in module._modules.items() if each is not None)


def _field(config: Any, name: str) -> Any:
    return getattr(config, name) if isinstance(config, Config) and name in field_specs(config) else None


def _item(held: Any, index: int) -> Config | None:
    return held[index] if isinstance(held, tuple) and index < len(held) else None
