"""The feed-forward networks against their equations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.nn.functional import linear

from llm_build import Config, Context, build
from llm_build_plugins import ffn
from tests.builtin.strategies import ffns, plain_ffns
from tests.laws import law

ACTIVATIONS = {"relu": ffn.relu(), "silu": ffn.silu(), "gelu": ffn.gelu(), "tanh": ffn.gelu(approximate="tanh")}
BY_HAND = {
    "relu": lambda x: (x + x.abs()) / 2,
    "silu": lambda x: x / (1 + (-x).exp()),
    "gelu": lambda x: x * torch.special.ndtr(x),
    "tanh": lambda x: x / 2 * (1 + (0.7978845608028654 * (x + 0.044715 * x**3)).tanh()),
}


@law
@given(ffns, st.integers(1, 3), st.integers(1, 5), st.integers(1, 7), st.integers(0, 99))
def test_each_position_is_by_itself(config: Config, rows: int, length: int, dim: int, seed: int) -> None:
    module = build(config, context=Context(dim=dim), dtype=torch.float64, seed=seed).eval()
    x = torch.randn(rows, length, dim, dtype=torch.float64)
    out = module(x)
    assert out.shape == x.shape
    for row in range(rows):
        for place in range(length):
            torch.testing.assert_close(out[row, place], module(x[row, place]), rtol=1e-10, atol=1e-12)


@law
@given(
    st.sampled_from([(ffn.swiglu, "silu"), (ffn.geglu, "gelu")]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.booleans(),
)
def test_gated_networks_are_their_equations(kind: tuple[Any, str], dim: int, hidden: int, bias: bool) -> None:
    config, activation = kind
    module = build(config(hidden=hidden, bias=bias), context=Context(dim=dim), dtype=torch.float64)
    x = torch.randn(3, dim, dtype=torch.float64)
    weights = module.gate_up.weight.split(hidden)
    biases = module.gate_up.bias.split(hidden) if bias else (None, None)
    gate, up = (linear(x, each, offset) for each, offset in zip(weights, biases, strict=True))
    expected = linear(BY_HAND[activation](gate) * up, module.down.weight, module.down.bias)
    torch.testing.assert_close(module(x), expected)
    assert (module.gate_up.bias is not None) == (module.down.bias is not None) == bias


@law
@given(st.integers(1, 9), st.integers(1, 9), st.booleans(), st.sampled_from(sorted(BY_HAND)))
def test_mlp_is_the_equation_with_every_activation(dim: int, hidden: int, bias: bool, activation: str) -> None:
    config = ffn.mlp(hidden=hidden, bias=bias, activation=ACTIVATIONS[activation])
    module = build(config, context=Context(dim=dim), dtype=torch.float64)
    x = torch.randn(3, dim, dtype=torch.float64)
    inner = BY_HAND[activation](linear(x, module.up.weight, module.up.bias))
    torch.testing.assert_close(module(x), linear(inner, module.down.weight, module.down.bias))
    assert (module.up.bias is not None) == (module.down.bias is not None) == bias


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_activations_are_what_their_names_say(name: str) -> None:
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    torch.testing.assert_close(build(ACTIVATIONS[name])(x), BY_HAND[name](x))


@law
@given(plain_ffns, st.integers(1, 5), st.integers(1, 4))
def test_the_gradients_are_those_of_the_outputs(config: Config, dim: int, rows: int) -> None:
    module = build(config, context=Context(dim=dim), dtype=torch.float64)
    x = torch.randn(rows, dim, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x, *_: module(x), (x, *module.parameters()))


@pytest.mark.parametrize("config", [ffn.swiglu(hidden=5), ffn.geglu(hidden=5)], ids=["swiglu", "geglu"])
def test_a_compiled_gate_is_the_same(config: Config) -> None:
    module = build(config, context=Context(dim=3), dtype=torch.float64)
    x = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), module(x))
    ours, theirs = (torch.autograd.grad(each(x).square().sum(), x) for each in (compiled, module))
    torch.testing.assert_close(ours, theirs)


def test_hidden_is_derived_from_dim() -> None:
    for dim, plain, gated in ((96, 384, 256), (512, 2_048, 1_368), (1, 4, 8)):
        assert build(ffn.mlp(), context=Context(dim=dim)).up.out_features == plain
        assert build(ffn.swiglu(), context=Context(dim=dim)).down.in_features == gated
        assert build(ffn.geglu(), context=Context(dim=dim)).down.in_features == gated
