"""Gated DeltaNet around its rule: convolution, gates, documents, padding, and what it keeps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from llm_build import VECTOR, Config, Context, Step, build, make_state, parameter_groups
from llm_build_plugins import attention, ffn, model, norm
from llm_build_plugins.attention._delta_rule import CHUNK
from llm_build_plugins.attention.gated_delta_module import segments_of
from tests.builtin.recurrence import CLOSE, by_hand
from tests.builtin.strategies import VOCAB, random_tokens, recurrences
from tests.laws import law

DIM = 6
seeds = st.integers(0, 2**16)


def made(config: Config, dtype: torch.dtype = torch.float64, seed: int = 1) -> Any:
    return build(config, context=Context(dim=DIM), dtype=dtype, seed=seed)


def whole(rows: int, length: int, **told: Tensor) -> Step:
    return Step.begin(torch.zeros(rows, length, dtype=torch.int64), **told)


def mixed(module: Any, config: Any, x: Tensor) -> Tensor:
    """x [T, D] → [T, D], a token at a time, as Qwen3-Next has it."""
    keys, values = config.heads * module.head_dim, module.value_heads * module.value_dim
    channels, ratio = 2 * keys + values, module.value_heads // config.heads
    projected = x @ module.inputs.weight.T
    before, outs = torch.zeros(config.conv - 1, channels, dtype=x.dtype), []
    state = torch.zeros(1, module.value_heads, module.head_dim, module.value_dim, dtype=x.dtype)
    for t in range(len(x)):
        new, gate, a, b = projected[t].split([channels, values, module.value_heads, module.value_heads])
        around = torch.cat((before, new[None]))
        before = around[1:]
        convolved = torch.nn.functional.silu((around * module.convolution.weight.T).sum(0))
        q, k, v = convolved.split([keys, keys, values])
        q, k = (each.view(config.heads, -1) for each in (q, k))
        q, k = (each / (each.square().sum(-1, keepdim=True) + 1e-6).sqrt() for each in (q, k))
        q, k = (each.repeat_interleave(ratio, 0)[None, None] for each in (q / module.head_dim**0.5, k))
        decay = -module.a_log.exp() * torch.nn.functional.softplus(a + module.dt_bias)
        v = v.view(1, 1, module.value_heads, -1)
        y, state = by_hand(q, k, v, decay[None, None], b.sigmoid()[None, None], state)
        gated = module.norm(y[0, 0]) * torch.nn.functional.silu(gate.view(module.value_heads, -1))
        outs.append(module.out.weight @ gated.flatten())
    return torch.stack(outs)


@law
@given(recurrences(), st.integers(1, 3), st.integers(1, 7), seeds)
def test_it_is_the_equation(config: Config, rows: int, length: int, seed: int) -> None:
    module = made(config, seed=seed)
    x = torch.randn(rows, length, DIM, dtype=torch.float64)
    out = module(x, whole(rows, length))
    for row in range(rows):
        torch.testing.assert_close(out[row], mixed(module, config, x[row]), **CLOSE)


@law
@given(recurrences(), st.lists(st.integers(1, 4), min_size=1, max_size=4), seeds)
def test_documents_begin_anew_and_see_no_input_of_another(config: Config, parts: list[int], seed: int) -> None:
    module = made(config, seed=seed)
    x = torch.randn(1, sum(parts), DIM, dtype=torch.float64)
    # a number may come again, and is another document
    documents = torch.tensor([place % 2 for place, part in enumerate(parts) for _ in range(part)])[None]
    packed = module(x, whole(1, sum(parts), documents=documents))
    for out, own in zip(packed.split(parts, 1), x.split(parts, 1), strict=True):
        torch.testing.assert_close(out, module(own, whole(1, own.shape[1])), **CLOSE)


def test_segments_are_the_runs_of_equal_documents() -> None:
    documents = torch.tensor([[3, 3, 0, 3, 3], [1, 1, 1, 1, 1]])
    assert segments_of(documents).tolist() == [[0, 0, 1, 2, 2], [0, 0, 0, 0, 0]]


@law
@given(recurrences(), st.integers(1, 6), st.data())
def test_what_stands_behind_the_tokens_of_a_row_is_never_read(config: Config, length: int, data: st.DataObject) -> None:
    module, counts = made(config), data.draw(st.lists(st.integers(0, length), min_size=3, max_size=3))
    x = torch.randn(3, length, DIM, dtype=torch.float64)
    for row, real in enumerate(counts):
        x[row, real:] = float("nan")
    out = module(x, whole(3, length, count=torch.tensor(counts)))
    assert out.isfinite().all()
    for row, real in enumerate(counts):
        if real:
            torch.testing.assert_close(
                out[row : row + 1, :real], module(x[row : row + 1, :real], whole(1, real)), **CLOSE
            )


def decoder(dtype: torch.dtype = torch.float64, **options: Any) -> Any:
    mixer = attention.gated_delta(**{"heads": 1, "value_heads": 2, "head_dim": 3, "value_dim": 4, **options})
    block = model.block(attention=mixer, ffn=ffn.swiglu())
    config = model.decoder(
        dim=DIM, vocab=VOCAB, context=512, norm=norm.rms(), layers=2 * block, initialiser=model.normal(std=0.7)
    )
    return build(config, dtype=dtype)


def test_a_long_text_in_chunks_equals_the_full_pass() -> None:
    made, tokens = decoder(), random_tokens(2, 3 * CHUNK + 30, seed=2)
    state, steps = make_state(made, 2, tokens.shape[1]), []
    for part in tokens.split([2 * CHUNK + 3, 1, 1, CHUNK, 20, 5], dim=1):
        state.reserve(part.shape[1])
        with torch.inference_mode():
            steps.append(made(part, state))
    torch.testing.assert_close(torch.cat(steps, 1), made(tokens), **CLOSE)


@pytest.mark.parametrize("new", [1, 3])
def test_a_row_that_was_reset_starts_anew_whatever_it_held(new: int) -> None:
    made, tokens = decoder(), random_tokens(2, 6, seed=3)
    state = make_state(made, 2, 32)
    with torch.inference_mode():
        state.reserve(6)
        made(tokens, state)
        for layer in state.views:
            for kept in layer["attention"].sequence.values():
                kept[1] = float("nan")
        state.reset([1])
        state.reserve(new)
        after = made(tokens[:, :new], state)
    torch.testing.assert_close(after[1:], made(tokens[1:, :new]), **CLOSE)
    assert after.isfinite().all()


def test_its_matrix_is_kept_in_float32_or_wider_and_its_inputs_in_the_dtype_of_the_model() -> None:
    for dtype, wide in (
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ):
        state = make_state(decoder(dtype), 1, 8)
        kept = state.views[0]["attention"].sequence
        assert {name: each.dtype for name, each in kept.items()} == {"matrix": wide, "recent": dtype}
        assert kept["matrix"].shape == (1, 2, 3, 4)
        assert kept["recent"].shape == (1, 3, 14)


def test_its_recurrence_is_as_exact_under_autocast_and_in_half_precision() -> None:
    seen: list[torch.dtype] = []
    for dtype in (torch.float32, torch.bfloat16):
        made = decoder(dtype)
        mixer = made.layers[0].attention
        recurrence = mixer._recurrence

        def watched(q: Tensor, *rest: Any, recurrence: Any = recurrence) -> Tensor:
            y: Tensor = recurrence(q, *rest)
            seen.extend((q.dtype, rest[2].dtype, y.dtype, torch.mm(q[0, 0].mT, q[0, 0]).dtype))
            return y

        mixer._recurrence = watched
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.float32):
            made(random_tokens(1, 5, seed=0)).sum().backward()
    assert seen == 8 * [torch.float32]


def test_a_module_in_another_dtype_than_it_was_made_in_still_runs() -> None:
    config = attention.gated_delta(heads=2, conv=3)
    module, x = made(config, torch.float32).double(), torch.randn(1, 4, DIM, dtype=torch.float64)
    torch.testing.assert_close(module(x, whole(1, 4)), mixed(module, config, x[0])[None], **CLOSE)


def test_rates_and_steps_are_spread_over_their_range_and_drawn_by_the_seed() -> None:
    def gates(seed: int) -> tuple[Tensor, Tensor]:
        config = attention.gated_delta(heads=1, value_heads=32, head_dim=2)
        block = model.block(attention=config, ffn=ffn.swiglu())
        layer = build(model.decoder(dim=8, vocab=9, context=8, norm=norm.rms(), layers=block), seed=seed).layers[0]
        return layer.attention.a_log.detach(), layer.attention.dt_bias.detach()

    a_log, dt_bias = gates(0)
    torch.testing.assert_close(a_log.exp().sort().values, (torch.arange(32) + 0.5) / 2)
    steps = torch.nn.functional.softplus(dt_bias).log10().sort().values
    torch.testing.assert_close(steps, -3 + 2 * (torch.arange(32) + 0.5) / 32, rtol=1e-3, atol=1e-3)
    assert not torch.equal(a_log.argsort(), dt_bias.argsort())
    torch.testing.assert_close(gates(0), (a_log, dt_bias), rtol=0, atol=0)
    assert not torch.equal(gates(1)[0], a_log)


def test_optimisers_take_no_tap_for_a_matrix_and_let_no_gate_decay() -> None:
    module = made(attention.gated_delta(heads=2))
    asked = {weight: group for group, weights in parameter_groups(module).items() for weight in weights}
    assert asked[module.a_log] == asked[module.dt_bias] == VECTOR
    assert not asked[module.convolution.weight].matrix
    assert asked[module.inputs.weight].matrix


@pytest.mark.parametrize(
    ("options", "surroundings", "field", "message"),
    [
        ({"value_heads": 3}, {}, "value_heads", "must be a multiple of heads = 2; 3 arrived"),
        ({"heads": 4}, {}, "heads", "heads must divide dim = 6; 4 arrived"),
        ({"conv": 1}, {}, "conv", "from 2"),
        ({"value_dim": 1}, {}, "value_dim", "value_dim must be at least 2; 1 arrived"),
        ({}, {"causal": False}, "", "a recurrence sees only what came before"),
        ({}, {"memory": 4, "causal": False}, "", "mixes its own sequence; here a memory is to be read"),
    ],
)
def test_a_faulty_config_is_refused(
    options: dict[str, int], surroundings: dict[str, Any], field: str, message: str
) -> None:
    (problem,) = attention.gated_delta(**{"heads": 2, **options}).problems(Context(dim=DIM, **surroundings))
    assert problem.field == field
    assert message in problem.message
