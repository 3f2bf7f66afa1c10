"""Multi-head latent attention: its two ways, its equation, and what it keeps."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from llm_build import Config, Context, Step, build, component, load, make_state
from llm_build.cost import parameters
from llm_build_plugins import attention, ffn, model, norm, position
from llm_build_plugins.attention._heads import head_by_head
from tests.builtin.strategies import VOCAB, latents, random_tokens, ropes
from tests.laws import law

DIM = 6
CLOSE = {"rtol": 1e-10, "atol": 1e-11}


@component("position:half", module="tests.builtin.test_mla:Half", capabilities=["rotary"])
class half(Config):
    """A position that turns nothing and asks for half the scores."""


class Half(torch.nn.Module):
    score_factor = 0.5

    def __init__(self, config: half, context: Context) -> None:
        super().__init__()

    def rotate(self, x: Tensor, positions: Tensor) -> Tensor:
        return x


def made(config: Config, **surroundings: Any) -> Any:
    return build(config, context=Context(dim=DIM, **surroundings), dtype=torch.float64, seed=1)


def forced(module: Any, absorbed: bool) -> Any:
    """The same module, which takes one way whatever the call is."""
    module.absorbs = lambda new, seen: absorbed
    return module


def whole(rows: int, length: int, **told: Tensor) -> Step:
    return Step.begin(torch.zeros(rows, length, dtype=torch.int64), **told)


def by_hand(module: Any, config: Any, x: Tensor, causal: bool) -> Tensor:
    """[T, D] → [T, D]: section 2.1 of DeepSeek-V2, a query and a head at a time."""
    length, window = len(x), module.mask.window or len(x)
    q, latent, shared = (x @ module.down.weight.T).split(module.widths, dim=-1)
    if config.q_rank:
        q = module.q_norm(q) @ module.q_up.weight.T
    q, latent = q.view(length, config.heads, -1), module.kv_norm(latent)
    places, factor = torch.arange(length)[None], getattr(module.position, "score_factor", 1.0)

    def turned(each: Tensor) -> Tensor:
        return module.position.rotate(each[None], places)[0] if module.position is not None else each

    turning, shared = turned(q[..., module.nope :]), turned(shared[:, None])[:, 0]
    outs = []
    for t in range(length):
        seen = range(max(0, t + 1 - window), t + 1 if causal else min(length, t + window))
        heads = []
        for head, up in enumerate(module.kv_up):
            scores, values = [], []
            for s in seen:
                made = up @ latent[s]
                still = q[t, head, : module.nope] @ made[: module.nope]
                scores.append((still + turning[t, head] @ shared[s]) / (module.nope + module.rope) ** 0.5 * factor)
                values.append(made[module.nope :])
            heads.append(torch.stack(scores).softmax(0) @ torch.stack(values))
        outs.append(module.out(torch.cat(heads)))
    return torch.stack(outs)


@law
@given(latents(), st.none() | ropes, st.booleans(), st.integers(1, 3), st.integers(1, 6))
def test_both_ways_are_the_equation(config: Config, turns: Config | None, causal: bool, rows: int, length: int) -> None:
    module = made(config, causal=causal, position=turns)
    x = torch.randn(rows, length, DIM, dtype=torch.float64)
    for absorbed in (False, True):
        out = forced(module, absorbed)(x, whole(rows, length))
        for row in range(rows):
            torch.testing.assert_close(out[row], by_hand(module, config, x[row], causal), **CLOSE)


@law
@given(latents(), st.none() | ropes, st.integers(1, 3), st.integers(1, 5))
def test_both_ways_have_the_same_gradients(config: Config, turns: Config | None, rows: int, length: int) -> None:
    module = made(config, position=turns)
    x = torch.randn(rows, length, DIM, dtype=torch.float64, requires_grad=True)
    factors = torch.randn(rows, length, DIM, dtype=torch.float64)
    found = []
    for absorbed in (False, True):
        summed = (forced(module, absorbed)(x, whole(rows, length)) * factors).sum()
        found.append(torch.autograd.grad(summed, [x, *module.parameters()]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-10)


def decoder(**options: Any) -> Any:
    return build(
        model.decoder(
            dim=DIM,
            vocab=VOCAB,
            context=32,
            position=position.rope(),
            norm=norm.rms(),
            layers=2 * model.block(attention=attention.mla(heads=2, nope=2, rope=2, **options), ffn=ffn.swiglu()),
            initialiser=model.normal(std=0.7),
        ),
        dtype=torch.float64,
    )


@law
@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=2, max_size=5), st.booleans())
def test_the_calls_of_a_conversation_may_change_between_the_ways(calls: list[tuple[int, bool]], windowed: bool) -> None:
    made = decoder(kv_rank=3, **({"mask": attention.sliding(window=3)} if windowed else {}))
    tokens = random_tokens(2, sum(new for new, _ in calls), seed=len(calls))
    state, found = make_state(made, 2, tokens.shape[1]), []
    for part, (new, absorbed) in zip(tokens.split([new for new, _ in calls], dim=1), calls, strict=True):
        for layer in made.layers:
            forced(layer.attention, absorbed)
        state.reserve(new)
        with torch.inference_mode():
            found.append(made(part, state))
    for layer in made.layers:
        forced(layer.attention, False)
    torch.testing.assert_close(torch.cat(found, 1), made(tokens), **CLOSE)


def test_one_token_on_a_state_makes_no_keys_and_a_training_step_makes_them_once() -> None:
    made, calls = decoder(kv_rank=8), []
    for layer in made.layers:
        expand = layer.attention._keys_and_values
        layer.attention._keys_and_values = lambda stored, expand=expand: calls.append(stored.shape[1]) or expand(stored)
    tokens, state = random_tokens(1, 20, seed=0), make_state(made, 1, 32)
    made(tokens)
    assert calls == [20, 20]
    calls.clear()
    with torch.inference_mode():
        state.reserve(19)
        made(tokens[:, :19], state)
        assert calls == [32, 32]
        state.reserve(1)
        made(tokens[:, 19:], state)
    assert calls == [32, 32]


def products(module: Any, new: int, seen: int, absorbed: bool) -> int:
    """A head's, for `new` queries over `seen` stored positions."""
    folding = module.rank * (module.nope + module.v)
    score = 2 * module.rank + module.rope if absorbed else module.nope + module.rope + module.v
    return (new if absorbed else seen) * folding + new * seen * score


@law
@given(latents(), st.integers(1, 40), st.integers(0, 40))
def test_the_way_is_the_one_with_fewer_products(config: Config, new: int, more: int) -> None:
    module, seen = made(config), new + more
    fewer = products(module, new, seen, True) <= products(module, new, seen, False)
    assert module.absorbs(new, seen) == fewer
    assert not module.absorbs(new, 0)


@law
@given(latents())
def test_one_field_is_kept_with_the_latent_and_the_rotated_key_as_its_parts(config: Any) -> None:
    module = made(config)
    (kept,) = module.state_spec.values()
    assert set(module.state_spec) == {"k"}
    assert kept.shape == (1, config.kv_rank + config.rope)
    assert kept.parts == (config.kv_rank, config.rope)
    assert kept.reach == module.mask.window


def test_it_has_the_weights_of_deepseek_v3_and_of_v2_lite() -> None:
    def count(dim: int, **options: Any) -> int:
        config = attention.mla(kv_rank=512, nope=128, rope=64, v=128, **options)
        module = build(config, context=Context(dim=dim), device="meta")
        return sum(each.numel() for each in module.parameters())

    # q_a, its norm, q_b, kv_a, its norm, kv_b, o of deepseek-ai/DeepSeek-V3
    assert count(7168, heads=128, q_rank=1536) == (
        7168 * 1536 + 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 + 512 * 128 * 256 + 128 * 128 * 7168
    )
    # q, kv_a, its norm, kv_b, o of deepseek-ai/DeepSeek-V2-Lite
    assert count(2048, heads=16) == 2048 * 16 * 192 + 2048 * 576 + 512 + 512 * 16 * 256 + 16 * 128 * 2048


DEEPSEEK = """llm 1
let usual = block {
  attention = mla { heads = 128, q_rank = 1536, kv_rank = 512, nope = 128, rope = 64, v = 128 }
  ffn       = swiglu { hidden = 18_432 }
}
let sparse = usual {
  ffn = moe {
    experts = 256
    router  = sigmoid_groups { k = 8, groups = 8, keep = 4, scale = 2.5 }
    expert  = swiglu { hidden = 2048 }
    shared  = swiglu { hidden = 2048 }
  }
}
model = decoder {
  dim = 7168, vocab = 129_280, context = 4Ki
  position = rope { interleaved = true }
  layers = 3 * usual + 58 * sparse
  norm = rms { eps = 1e-6 }
}
"""


def test_deepseek_v3_has_its_published_number_of_parameters() -> None:
    # 671_026_419_200 with a correction for each expert, which is a buffer here
    assert parameters(load(DEEPSEEK)) == 671_026_419_200 - 58 * 256


def test_the_scale_is_that_of_the_whole_key_times_what_the_position_asks_for() -> None:
    config = attention.mla(heads=2, kv_rank=3, nope=3, rope=2)
    assert made(config).scale == 5**-0.5
    assert made(config, position=half()).scale == 0.5 * 5**-0.5
    assert made(attrs.evolve(config, scale=3.0), position=half()).scale == 1.5


def test_dropout_acts_while_training_only() -> None:
    module = made(attention.mla(heads=2, kv_rank=3, nope=2, rope=2, dropout=0.5))
    x = torch.randn(1, 9, DIM, dtype=torch.float64)
    assert not torch.equal(module(x, whole(1, 9)), module(x, whole(1, 9)))
    module.eval()
    torch.testing.assert_close(module(x, whole(1, 9)), module(x, whole(1, 9)), rtol=0, atol=0)


def test_an_initialiser_draws_every_map_and_what_ends_the_branch_smaller() -> None:
    made = decoder(kv_rank=400, q_rank=300)
    first = made.layers[0].attention
    for weight, std in (
        (first.kv_up, 0.7),
        (first.down.weight, 0.7),
        (first.q_up.weight, 0.7),
        (first.out.weight, 0.35),
    ):
        assert abs(float(weight.detach().std()) / std - 1) < 0.3
    assert (first.kv_norm.weight == 1).all()
    assert len(first.q_norm.weight) == 300


@pytest.mark.parametrize(
    ("options", "surroundings", "field", "message"),
    [
        ({"mask": attention.full()}, {}, "mask", "only itself and what came before"),
        ({"position": position.sinusoidal()}, {}, "position", "takes a position that rotates"),
        ({"rope": 3, "position": position.rope()}, {}, "fraction", "must be an even number; 1 · 3 arrived"),
        ({}, {"memory": 4, "causal": False}, "", "mixes its own sequence; here a memory is to be read"),
        ({"kv_rank": 0}, {}, "kv_rank", "from 1"),
        ({"v": 100, "dropout": 1}, {}, "dropout", "below 1"),
    ],
)
def test_a_faulty_config_is_refused(
    options: dict[str, Any], surroundings: dict[str, Any], field: str, message: str
) -> None:
    config = attention.mla(**{"heads": 2, "kv_rank": 3, "nope": 2, "rope": 2, **options})
    (problem,) = config.problems(Context(dim=DIM, **surroundings))
    assert problem.field == field
    assert message in problem.message


def test_widths_that_a_gpu_is_slow_with_are_warned_of_in_wide_models_once() -> None:
    config = attention.mla(heads=2, kv_rank=512, nope=100, rope=64)
    (problem,) = config.problems(Context(dim=512))
    assert (problem.field, problem.code, problem.help) == ("nope", "W305", "write nope = 96 or 104")
    assert config.problems(Context(dim=128)) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@law
@given(st.data())
@torch.no_grad()
def test_on_a_gpu_a_few_positions_take_their_heads_matrices_as_many_do(data: st.DataObject) -> None:
    sizes = st.integers(1, 70) | st.sampled_from([128, 512, 576])
    rows, length, heads = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2)), data.draw(st.integers(1, 5))
    outputs, inputs, turned = data.draw(sizes), data.draw(sizes), data.draw(st.booleans())
    dtype = data.draw(st.sampled_from([torch.bfloat16, torch.float16]))
    x = torch.randn(rows, length, heads, inputs + 3, device="cuda", dtype=dtype)[..., :inputs]
    shape = (heads, inputs, outputs) if turned else (heads, outputs, inputs)
    drawn = torch.randn(shape, device="cuda", dtype=dtype)
    matrices = drawn.mT if turned else drawn
    beside = torch.randn(rows, heads, length, data.draw(sizes), device="cuda", dtype=dtype).transpose(1, 2)
    alone = torch.einsum("bthi,hoi->btho", x.double(), matrices.double())
    both = torch.cat((alone, beside.double()), dim=-1)
    for steady, more, exact in ((False, None, alone), (True, None, alone), (True, beside, both)):
        found = head_by_head(x, matrices, more, steady=steady)
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), exact, rtol=torch.finfo(dtype).eps, atol=1e-4 * inputs**0.5)
