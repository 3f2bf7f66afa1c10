"""What a module asks of an optimiser for its parameters."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from torch import nn


@attrs.frozen(kw_only=True)
class ParameterGroup:
    """How an optimiser is to treat a parameter.

    `decay`: weight decay acts on it. `matrix`: it is a linear map [out, in], or a stack of them [..., out, in], so that
    an optimiser for matrices may take it. `lr` is multiplied with the learning rate.

    A module asks by an attribute `parameter_groups`, a mapping from the names of its own parameters. What nobody asks
    for is a matrix with two axes or more, and otherwise a vector without decay (norms, biases).
    """

    decay: bool = True
    matrix: bool = True
    lr: float = 1.0


MATRIX = ParameterGroup()
TABLE = ParameterGroup(matrix=False)
"""Rows that are looked up: embeddings, and a head that may be tied to one."""
VECTOR = ParameterGroup(decay=False, matrix=False)
"""Norms and biases."""


def parameter_groups(model: nn.Module) -> dict[ParameterGroup, list[nn.Parameter]]:
    """The parameters that are trained, by what was asked for them, each once and in the model's order."""
    groups: dict[ParameterGroup, list[nn.Parameter]] = {}
    taken: set[nn.Parameter] = set()
    for module in model.modules():
        asked: Mapping[str, ParameterGroup] = getattr(module, "parameter_groups", {})
        for name, weight in module.named_parameters(recurse=False):
            if not weight.requires_grad or weight in taken:
                continue
            taken.add(weight)
            group = asked.get(name, MATRIX if weight.ndim >= 2 else VECTOR)
            groups.setdefault(group, []).append(weight)
    return groups
