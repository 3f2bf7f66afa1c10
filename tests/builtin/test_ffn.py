"""The feed-forward networks against their equations."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import linear, silu

from llm_build import Config, Context, build
from llm_build_plugins import ffn
from tests.builtin.strategies import ffns
from tests.laws import law


@law
@given(ffns, st.integers(1, 3), st.integers(1, 5), st.integers(1, 7), st.integers(0, 99))
def test_each_position_is_by_itself(config: Config, rows: int, length: int, dim: int, seed: int) -> None:
    module = build(config, context=Context(dim=dim), dtype=torch.float64, seed=seed)
    x = torch.randn(rows, length, dim, dtype=torch.float64)
    out = module(x)
    assert out.shape == x.shape
    for row in range(rows):
        for place in range(length):
            torch.testing.assert_close(out[row, place], module(x[row, place]), rtol=1e-10, atol=1e-12)


@law
@given(st.integers(1, 9), st.integers(1, 9), st.booleans(), st.integers(0, 99))
def test_swiglu_is_the_equation(dim: int, hidden: int, bias: bool, seed: int) -> None:
    module = build(ffn.swiglu(hidden=hidden, bias=bias), context=Context(dim=dim), dtype=torch.float64, seed=seed)
    x = torch.randn(3, dim, dtype=torch.float64)
    weights = module.gate_up.weight.split(hidden)
    biases = module.gate_up.bias.split(hidden) if bias else (None, None)
    gate, up = (linear(x, each, offset) for each, offset in zip(weights, biases, strict=True))
    torch.testing.assert_close(module(x), linear(silu(gate) * up, module.down.weight, module.down.bias))


@law
@given(st.integers(1, 9), st.integers(1, 9), st.booleans(), st.sampled_from(["none", "tanh"]))
def test_mlp_is_the_equation(dim: int, hidden: int, bias: bool, approximate: str) -> None:
    config = ffn.mlp(hidden=hidden, bias=bias, activation=ffn.gelu(approximate=approximate))
    module = build(config, context=Context(dim=dim), dtype=torch.float64)
    x = torch.randn(3, dim, dtype=torch.float64)
    inner = torch.nn.functional.gelu(module.up(x), approximate=approximate)
    torch.testing.assert_close(module(x), module.down(inner))
    assert (module.up.bias is not None) == (module.down.bias is not None) == bias


def test_activations_are_what_their_names_say() -> None:
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    expected = {
        ffn.relu(): x.clamp(min=0),
        ffn.silu(): x * x.sigmoid(),
        ffn.gelu(): x * torch.special.ndtr(x),
        ffn.gelu(approximate="tanh"): x / 2 * (1 + (0.7978845608028654 * (x + 0.044715 * x**3)).tanh()),
    }
    for config, values in expected.items():
        torch.testing.assert_close(build(config)(x), values)


def test_hidden_is_derived_from_dim() -> None:
    for dim, plain, gated in ((96, 384, 256), (512, 2_048, 1_368), (1, 4, 8)):
        assert build(ffn.mlp(), context=Context(dim=dim)).up.out_features == plain
        assert build(ffn.swiglu(), context=Context(dim=dim)).down.in_features == gated
