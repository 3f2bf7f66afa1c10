"""Live bytes that are followed without numbers, against sums by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from llm_build import Context, build, load
from llm_build.cost import Allocations, Enough, copies, shortened
from llm_build.cost.repeats import LONG
from llm_build.resolve import resolve
from tests.core.test_summary import SMALL, block

CPU = torch.device("cpu")
SIZE = 4 * 1_000


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.zeros(1_000))
        self.second = nn.Parameter(torch.zeros(1_000))


class Remembers(torch.optim.Optimizer):
    """Keeps one number a weight, and needs four more a number of the first of them while it steps."""

    def __init__(self, weights: list[Tensor]) -> None:
        super().__init__(weights, {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for place, weight in enumerate(self.param_groups[0]["params"]):
            state = self.state[weight]
            if not state:
                state["kept"] = torch.zeros_like(weight)
            if place == 0:
                weight.add_(weight.repeat(4)[: len(weight)])


def seen_of(steps: int, optimizers: int = 1) -> Allocations:
    """Some steps of a model of two weights, with one optimiser for all of it or one a weight."""
    seen = Allocations(CPU)
    with FakeTensorMode(), seen:
        model = Two()
        weights = list(model.parameters())
        of = [Remembers(weights)] if optimizers == 1 else [Remembers([each]) for each in weights]
        with seen.following(model, {}):
            for _ in range(steps):
                for weight in weights:
                    (2 * weight).sum().backward()
                for each in of:
                    each.step()
                    each.zero_grad()
    return seen


def test_a_later_step_has_what_the_first_made() -> None:
    seen = seen_of(1)
    assert seen.most["weights"] == seen.most["gradients"] == seen.most["optimizer"] == 2 * SIZE
    # in the first step the second weight's is made after the four that the first one needs
    assert seen.peak == 3 * 2 * SIZE + 4 * SIZE
    assert seen.most["activations"] == 4 * SIZE


def test_an_optimisers_second_step_is_not_gone_through() -> None:
    with pytest.raises(Enough):
        seen_of(2)


def test_two_optimisers_are_each_seen_once() -> None:
    assert seen_of(1, optimizers=2).steps == 2


def test_what_lies_on_another_device_does_not_count() -> None:
    seen = Allocations(CPU)
    with FakeTensorMode(), seen:
        _elsewhere, here = torch.zeros(1_000, device="meta"), torch.zeros(10)
        with seen.following(nn.Module(), {}):
            pass
    assert here.numel() == 10
    assert seen.peak == 40


def test_what_is_gone_does_not_count() -> None:
    seen = Allocations(CPU)
    with FakeTensorMode(), seen:
        torch.zeros(1_000)
        kept = torch.zeros(10)
        view = kept.view(2, 5)
        with seen.following(nn.Module(), {}):
            pass
    assert view.numel() == 10
    assert seen.peak == 40


def test_layers_that_hold_a_weight_together_do_not_stand_for_others() -> None:
    whole: Any = resolve(load(SMALL.format(layers=f"{LONG + 1} * {block()}")), Context())
    short, runs = shortened(whole.model)
    model = build(whole.changed(model=short), device="meta")
    found = copies(model, short, runs)
    assert found is not None
    assert sum(each.times for each in found.values()) == LONG + 1
    model.layers[0].ffn = model.layers[1].ffn
    assert copies(model, short, runs) is None


def test_short_runs_are_left_as_they_are() -> None:
    whole: Any = resolve(load(SMALL.format(layers=f"{LONG} * {block()} + {block('mlp { hidden = 6 }')}")), Context())
    assert shortened(whole.model) == (whole.model, [])
