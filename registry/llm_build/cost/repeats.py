"""Many equal layers in a row as few that stand for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import attrs
from torch import nn

from llm_build.components import Config, field_specs
from llm_build.cost.at_work import Copy
from llm_build.cost.layers import parts

LONG = 16
"""A longer run of equal layers is shortened."""
KEPT = 3
"""Of which the second stands for all but the first and the last."""


@attrs.frozen
class Run:
    """`count` equal layers, which are `KEPT` now: from `first` on, in the list called `name`."""

    name: str
    first: int
    count: int


def shortened(config: Config, path: str = "") -> tuple[Config, list[Run]]:
    """A filled config in which no more than `LONG` equal parts stand in a row, and the runs that were longer."""
    changes: dict[str, Any] = {}
    found: list[Run] = []
    shorter: Any
    for name in field_specs(config):
        value = getattr(config, name)
        if isinstance(value, Config):
            shorter, runs = shortened(value, f"{path}{name}.")
        elif isinstance(value, tuple):
            shorter, runs = _cut(value, f"{path}{name}")
        else:
            continue
        if runs:
            changes[name] = shorter
            found += runs
    return (config.changed(**changes) if changes else config), found


def copies(model: nn.Module, config: Config, runs: list[Run]) -> Mapping[nn.Module, Copy] | None:
    """For what the layers of a model of a shortened config stand; None where it has not one module a layer.

    A run is looked at while its first or its last layer is at work, not while the one is that counts for many. What is
    live then grows or falls by as much with each layer in between, so that it was or will be most at one of the ends.
    """
    modules = {name: module for name, module, _ in parts(model, config)}
    found: dict[nn.Module, Copy] = {}
    for run in runs:
        for place in range(KEPT):
            module = modules.get(f"{run.name}.{run.first + place}")
            if module is None or module in found:
                return None
            found[module] = Copy(run.count - KEPT + 1 if place == KEPT // 2 else 1, edge=place in (0, KEPT - 1))
    weights = [weight for module in found for weight in module.parameters()]
    return found if len(weights) == len(set(weights)) else None


def _cut(value: tuple[Any, ...], name: str) -> tuple[tuple[Any, ...], list[Run]]:
    kept: list[Any] = []
    runs: list[Run] = []
    for layer, equal in _neighbours(value):
        if isinstance(layer, Config) and equal > LONG:
            runs.append(Run(name, len(kept), equal))
            kept += [layer] * KEPT
        else:
            kept += [layer] * equal
    return tuple(kept), runs


def _neighbours(value: tuple[Any, ...]) -> Iterator[tuple[Any, int]]:
    return ((each, len(list(run))) for each, run in groupby(value))
