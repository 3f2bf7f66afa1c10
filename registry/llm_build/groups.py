"""What a module asks of an optimiser for its parameters."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from torch import nn

from llm_build.errors import PluginError


def _above_zero(_group: object, _field: object, value: float) -> None:
    if not value > 0:
        raise PluginError(f"ParameterGroup.lr multiplies the learning rate and must be above 0; {value} arrived")


@attrs.frozen(kw_only=True)
class ParameterGroup:
    """How an optimiser is to treat a parameter.

    `decay`: weight decay acts on it. `matrix`: it is a linear map [out, in], or a stack of them [..., out, in], so that
    an optimiser for matrices may take it. `lr`, above 0, is multiplied with the learning rate.

    A module asks by an attribute `parameter_groups`, a mapping from the names of its own parameters. What nobody asks
    for is a matrix with two axes or more, and otherwise a vector without decay (norms, biases). A stack of vectors,
    such as the biases [X, out] of a bank of maps, has to ask for `VECTOR`.
    """

    decay: bool = True
    matrix: bool = True
    lr: float = attrs.field(default=1.0, validator=_above_zero)


MATRIX = ParameterGroup()
TABLE = ParameterGroup(matrix=False)
"""Rows that are looked up: embeddings, and a head that may be tied to one."""
VECTOR = ParameterGroup(decay=False, matrix=False)
"""Norms and biases."""


def parameter_groups(model: nn.Module) -> dict[ParameterGroup, list[nn.Parameter]]:
    """The parameters that are trained, by what was asked for them, each once and in the model's order.

    Of the modules that share a parameter, the first that asks is heard. Raises `PluginError` for a request that names
    no parameter of its module, or calls a vector a matrix.
    """
    asked = _asked(model)
    groups: dict[ParameterGroup, list[nn.Parameter]] = {}
    for weight in model.parameters():
        if weight.requires_grad:
            group = asked.get(weight, MATRIX if weight.ndim >= 2 else VECTOR)
            groups.setdefault(group, []).append(weight)
    return groups


def _asked(model: nn.Module) -> dict[nn.Parameter, ParameterGroup]:
    asked: dict[nn.Parameter, ParameterGroup] = {}
    for module in model.modules():
        requests: Mapping[str, ParameterGroup] = getattr(module, "parameter_groups", {})
        for name, group in requests.items():
            # None: a parameter that this module goes without, such as a bias, or a head that is tied
            if getattr(module, name, module) is not None:
                asked.setdefault(_weight(module, name, group), group)
    return asked


def _weight(module: nn.Module, name: str, group: ParameterGroup) -> nn.Parameter:
    weight, where = getattr(module, name, None), f"{type(module).__name__}.parameter_groups"
    if not isinstance(weight, nn.Parameter):
        own = ", ".join(each for each, _ in module.named_parameters(recurse=False)) or "none"
        raise PluginError(f"{where} must name parameters of the module itself, which are {own}; {name!r} arrived")
    if group.matrix and weight.ndim < 2:
        raise PluginError(
            f"{where} calls {name!r} a matrix, which has two axes or more; it is {list(weight.shape)}: "
            "write ParameterGroup(matrix=False, …)"
        )
    return weight
