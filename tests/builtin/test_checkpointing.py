"""Activation checkpointing: the same loss and gradients from fewer kept activations."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from llm_build import build
from tests.builtin.strategies import cases
from tests.laws import law
from tests.small import small_spec


def pair(config: Any, seed: int) -> tuple[Any, Any]:
    """The same model with activations kept, and computed again."""
    again = attrs.evolve(config, layers=tuple(attrs.evolve(each, checkpoint=True) for each in config.layers))
    kept, recomputed = (build(each, dtype=torch.float64, seed=seed).train() for each in (config, again))
    return kept, recomputed


def small(**options: Any) -> Any:
    return attrs.evolve(small_spec(**options).model, vocab=300)


@law
@given(cases(), st.integers(0, 2**16))
def test_loss_and_gradients_are_the_same(case: Any, seed: int) -> None:
    gradients = []
    for model in pair(case.config, seed):
        hidden, losses = model.hidden(case.tokens)
        (hidden.square().sum() + sum(losses.values())).backward()
        gradients.append((hidden, [each.grad for each in model.parameters()]))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=0)


def test_dropout_draws_the_same_again() -> None:
    tokens, results = torch.arange(12)[None], []
    for model in pair(small(dropout=0.3), seed=0):
        torch.manual_seed(3)
        out = model(tokens)
        out.square().sum().backward()
        results.append((out, [each.grad for each in model.parameters()]))
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)


def test_fewer_activations_are_kept() -> None:
    tokens, kept = torch.arange(12)[None], []
    for model in pair(small(), seed=0):
        held: list[int] = []

        def hold(each: Tensor, held: list[int] = held) -> Tensor:
            held.append(each.numel())
            return each

        with torch.autograd.graph.saved_tensors_hooks(hold, lambda each: each):
            model(tokens)
        kept.append(sum(held))
    assert kept[1] < kept[0] / 2


def test_nothing_is_computed_again_in_evaluation() -> None:
    _, model = pair(small(), seed=0)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    model.layers[0].attention.register_forward_hook(count)
    model.eval()(torch.arange(12)[None]).sum().backward()
    assert calls == 1
    model.train()(torch.arange(12)[None]).sum().backward()
    assert calls == 3
