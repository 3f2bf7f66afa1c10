"""What modules ask of an optimiser: the defaults, the requests, and requests that make no sense."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from llm_build import TABLE, VECTOR, ParameterGroup, PluginError, parameter_groups

MATRIX = ParameterGroup()
SLOW = ParameterGroup(lr=0.5)


class Asking(nn.Module):
    """A module with a matrix, a vector and a bias that it goes without."""

    def __init__(self, **asked: ParameterGroup) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 2))
        self.scale = nn.Parameter(torch.zeros(3))
        self.bias = None
        self.parameter_groups = asked


def groups_of(model: nn.Module) -> dict[int, ParameterGroup]:
    return {id(weight): group for group, weights in parameter_groups(model).items() for weight in weights}


def test_unasked_a_matrix_decays_and_a_vector_does_not() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    assert list(parameter_groups(model).items()) == [
        (MATRIX, [model[0].weight]),
        (VECTOR, [model[0].bias, model[1].weight, model[1].bias]),
    ]


def test_a_request_is_heard() -> None:
    module = Asking(weight=TABLE, scale=ParameterGroup(matrix=False, lr=2.0))
    assert parameter_groups(nn.Sequential(module)) == {
        TABLE: [module.weight],
        ParameterGroup(matrix=False, lr=2.0): [module.scale],
    }


def test_equal_requests_make_one_group() -> None:
    first, second = Asking(weight=SLOW), Asking(weight=ParameterGroup(lr=0.5))
    assert parameter_groups(nn.Sequential(first, second))[SLOW] == [first.weight, second.weight]


def test_what_is_frozen_is_left_out() -> None:
    module = Asking(weight=SLOW)
    module.weight.requires_grad_(False)
    assert parameter_groups(module) == {VECTOR: [module.scale]}


def test_a_shared_parameter_appears_once_and_the_first_that_asks_is_heard() -> None:
    silent, asking, late = nn.Linear(2, 3, bias=False), Asking(weight=TABLE), Asking(weight=SLOW)
    asking.weight = late.weight = silent.weight
    found = parameter_groups(nn.Sequential(silent, asking, late))
    assert sum(weight is silent.weight for weights in found.values() for weight in weights) == 1
    assert groups_of(nn.Sequential(silent, asking, late))[id(silent.weight)] == TABLE


def test_a_parameter_that_a_module_goes_without_may_be_asked_for() -> None:
    assert VECTOR in parameter_groups(Asking(bias=VECTOR))


@pytest.mark.parametrize("name", ["wieght", "inner.weight", "parameter_groups"])
def test_a_request_must_name_a_parameter_of_the_module(name: str) -> None:
    module = Asking(**{name: SLOW})
    module.inner = nn.Linear(2, 2)
    with pytest.raises(PluginError, match=rf"Asking\.parameter_groups .* which are weight, scale; '{name}' arrived"):
        parameter_groups(module)


def test_a_vector_is_no_matrix() -> None:
    with pytest.raises(
        PluginError, match=r"calls 'scale' a matrix, .*; it is \[3\]: write ParameterGroup\(matrix=False"
    ):
        parameter_groups(Asking(scale=SLOW))


@pytest.mark.parametrize("lr", [0.0, -1.0, float("nan")])
def test_a_rate_must_be_above_zero(lr: float) -> None:
    with pytest.raises(PluginError, match=f"must be above 0; {lr} arrived"):
        ParameterGroup(lr=lr)
