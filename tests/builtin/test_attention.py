"""Attention's own: its projections, its options, its dropout and what it keeps."""

from __future__ import annotations

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from llm_build import Config, Context, Step, build
from llm_build_plugins import attention, ffn, model, norm, position
from tests.builtin.strategies import attentions
from tests.laws import law

DIM = 6


def made(config: Config, **surroundings: object) -> torch.nn.Module:
    context = Context(dim=DIM, **surroundings)
    module: torch.nn.Module = build(config, context=context, dtype=torch.float64, seed=1)
    return module


def mixed(module: torch.nn.Module, config: Config, q: Tensor, k: Tensor, v: Tensor, seen: list[slice]) -> Tensor:
    """q [T, H, E], k and v [S, K, E], the keys that each query sees → [T, D]: head by head, with plain softmax."""
    if module.q_norm is not None:
        q, k = module.q_norm(q), module.k_norm(k)
    rows = []
    for t, keys in enumerate(seen):
        outs = []
        for head in range(config.heads):
            shared = head // (config.heads // config.kv_heads)
            scores = k[keys, shared] @ q[t, head] / module.head_dim**0.5
            if module.softcap is not None:
                scores = module.softcap * (scores / module.softcap).tanh()
            sink = module.sinks[head].exp() if module.sinks is not None else 0
            weights = scores.exp() / (scores.exp().sum() + sink)
            outs.append(weights @ v[keys, shared])
        rows.append(module.out(torch.cat(outs)))
    return torch.stack(rows)


def by_hand(module: torch.nn.Module, config: Config, x: Tensor, causal: bool) -> Tensor:
    """[T, D] → [T, D]: every query over the keys before it, and after it where that is allowed."""
    heads, kv_heads, length = config.heads, config.kv_heads, len(x)
    q, k, v = module.qkv(x).view(length, -1, module.head_dim).split((heads, kv_heads, kv_heads), dim=1)
    window = module.mask.window or length
    seen = [slice(max(0, t + 1 - window), t + 1 if causal else t + window) for t in range(length)]
    return mixed(module, config, q, k, v, seen)


@law
@given(attentions(), st.booleans(), st.integers(1, 3), st.integers(1, 6))
def test_it_is_the_equation_with_every_option(config: Config, causal: bool, rows: int, length: int) -> None:
    module = made(config, causal=causal)
    x = torch.randn(rows, length, DIM, dtype=torch.float64)
    out = module(x, Step.begin(torch.zeros(rows, length, dtype=torch.int64)))
    for row in range(rows):
        torch.testing.assert_close(out[row], by_hand(module, config, x[row], causal), rtol=1e-9, atol=1e-10)


@law
@given(attentions(st.none()), st.integers(1, 4), st.integers(1, 5), st.lists(st.integers(0, 5), min_size=1, max_size=3))
def test_over_a_memory_it_is_the_equation_with_every_option(
    config: Config, width: int, length: int, counts: list[int]
) -> None:
    module = made(config, memory=width, causal=False)
    x = torch.randn(len(counts), length, DIM, dtype=torch.float64)
    memory = torch.randn(len(counts), 5, width, dtype=torch.float64)
    tokens = torch.zeros(len(counts), length, dtype=torch.int64)
    out = module(x, Step.begin(tokens, memory=memory, memory_count=torch.tensor(counts)))
    for row, count in enumerate(counts):
        q = module.q(x[row]).view(length, -1, module.head_dim)
        k, v = module.kv(memory[row]).view(5, -1, module.head_dim).split(config.kv_heads, dim=1)
        expected = mixed(module, config, q, k, v, length * [slice(count)])
        # without a place there is no weight to give: zeros, and of the projection its bias
        nothing = module.out(torch.zeros(length, module.out.in_features, dtype=torch.float64))
        torch.testing.assert_close(out[row], expected if count else nothing, rtol=1e-9, atol=1e-10)


@law
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 9))
def test_what_is_kept_is_what_is_declared(kv_heads: int, group: int, head_dim: int, dim: int) -> None:
    config = attention.gqa(heads=kv_heads * group, kv_heads=kv_heads, head_dim=head_dim)
    module = build(config, context=Context(dim=dim))
    assert {name: field.shape for name, field in module.state_spec.items()} == {
        "k": (kv_heads, head_dim),
        "v": (kv_heads, head_dim),
    }
    assert module.qkv.weight.shape == ((kv_heads * group + 2 * kv_heads) * head_dim, dim)


def test_mha_and_mqa_are_gqa_with_as_many_and_with_one_key_head() -> None:
    step, x = Step.begin(torch.zeros(1, 4, dtype=torch.int64)), torch.randn(1, 4, DIM, dtype=torch.float64)
    for short, long in (
        (attention.mha(heads=3), attention.gqa(heads=3)),
        (attention.mqa(heads=3), attention.gqa(heads=3, kv_heads=1)),
    ):
        torch.testing.assert_close(made(short)(x, step), made(long)(x, step), rtol=0, atol=0)


def test_a_full_mask_sees_what_comes_after() -> None:
    module = made(attention.mha(heads=2, mask=attention.full()), causal=False)
    x = torch.randn(1, 3, DIM, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(module(x, Step.begin(torch.zeros(1, 3).long()))[0, 0].sum(), x)
    assert (gradient[0, 1:] != 0).any(-1).all()


@law
@given(attentions(), st.integers(1, 3), st.integers(1, 6), st.data())
def test_padding_never_leaks_where_everything_is_visible(
    config: Config, rows: int, length: int, data: st.DataObject
) -> None:
    module = made(attrs.evolve(config, mask=attention.full()), causal=False)
    counts = data.draw(st.lists(st.integers(0, length), min_size=rows, max_size=rows))
    x, tokens = torch.randn(rows, length, DIM, dtype=torch.float64), torch.zeros(rows, length, dtype=torch.int64)
    out = module(x, Step.begin(tokens, count=torch.tensor(counts)))
    for row, real in enumerate(counts):
        alone = module(x[row : row + 1, :real], Step.begin(tokens[:1, :real]))
        torch.testing.assert_close(out[row : row + 1, :real], alone, rtol=1e-10, atol=1e-12)
        # a query that is no token sees nothing, so that the bias of the output is all that is left
        left = module.out(torch.zeros(module.out.in_features, dtype=torch.float64))
        torch.testing.assert_close(out[row, real:], left.expand(length - real, -1), rtol=0, atol=0)


def test_the_scale_is_the_inverse_root_of_head_dim_unless_stated() -> None:
    assert made(attention.mha(heads=3)).scale == 2**-0.5
    assert made(attention.mha(heads=3, scale=1)).scale == 1


def decoder(dropout: float, heads: Config) -> torch.nn.Module:
    config = model.decoder(
        dim=8,
        vocab=11,
        context=16,
        dropout=dropout,
        norm=norm.rms(),
        layers=model.block(placement=model.pre(dropout=0), attention=heads, ffn=ffn.swiglu()),
    )
    made: torch.nn.Module = build(config)
    made.dropout = torch.nn.Identity()
    return made


def test_attention_dropout_is_inherited_and_acts_while_training_only() -> None:
    tokens = torch.arange(10)[None]
    inherited = decoder(0.5, attention.mha(heads=2))
    assert not torch.equal(inherited(tokens), inherited(tokens))
    inherited.eval()
    torch.testing.assert_close(inherited(tokens), inherited(tokens), rtol=0, atol=0)
    stated = decoder(0.5, attention.mha(heads=2, dropout=0))
    torch.testing.assert_close(stated(tokens), stated(tokens), rtol=0, atol=0)


def test_an_inherited_position_is_one_module_and_a_stated_one_is_its_own() -> None:
    block = model.block(attention=attention.mha(heads=2), ffn=ffn.swiglu())
    own = model.block(attention=attention.mha(heads=2, position=position.rope(theta=100)), ffn=ffn.swiglu())
    without = model.block(attention=attention.mha(heads=2, position=None), ffn=ffn.swiglu())
    made = build(
        model.decoder(
            dim=8, vocab=5, context=8, position=position.rope(), norm=norm.rms(), layers=(block, own, block, without)
        )
    )
    first, stated, second, none = (layer.attention.position for layer in made.layers)
    assert first is second
    assert first is not stated
    assert stated.theta == 100
    assert none is None


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        (attention.gqa(heads=4), "heads", "heads must divide dim = 6; 4 arrived"),
        (attention.gqa(heads=3, kv_heads=2), "kv_heads", "kv_heads must divide heads = 3; 2 arrived"),
        (attention.mha(heads=2, mask=attention.full()), "mask", "only itself and what came before"),
        (attention.mha(heads=2, position=position.rope()), "fraction", "must be an even number; 1 · 3 arrived"),
        (attention.mha(heads=2**16 + 1), "heads", "from 1 to 65_536"),
        (attention.mha(heads=2, dropout=1), "dropout", "below 1"),
    ],
)
def test_a_faulty_config_is_refused(config: Config, field: str, message: str) -> None:
    (problem,) = config.problems(Context(dim=DIM))
    assert problem.field == field
    assert message in problem.message
