"""Positions that are added to the embeddings: sinusoidal and learned."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from llm_build import TABLE, Config, Context, GenerationError, MissingContext, build, make_state, parameter_groups
from llm_build_plugins import attention, ffn, model, norm, position
from tests.laws import law

EXACT = {"rtol": 0, "atol": 0}
BOTH = pytest.mark.parametrize("config", [position.sinusoidal(), position.learned()], ids=["sinusoidal", "learned"])


def made(config: Config, dim: int, context: int = 16, dtype: torch.dtype = torch.float64) -> Any:
    return build(config, context=Context(dim=dim, context=context), dtype=dtype)


def decoder(config: Config, context: int = 16, **options: Any) -> Any:
    block = model.block(attention=attention.mha(heads=2), ffn=ffn.swiglu())
    return build(
        model.decoder(dim=4, vocab=11, context=context, position=config, norm=norm.rms(), layers=block),
        **{"dtype": torch.float64, **options},
    ).eval()


def waves(theta: float, dim: int, place: int) -> Tensor:
    """The paper's formula, dimension by dimension: [D]."""
    angles = [place / theta ** (2 * (each // 2) / dim) for each in range(dim)]
    values = [math.cos(angle) if each % 2 else math.sin(angle) for each, angle in enumerate(angles)]
    return torch.tensor(values, dtype=torch.float64)


@st.composite
def places(draw: st.DrawFn, high: int) -> Tensor:
    """Positions [B, T] that start anywhere, restart and repeat."""
    rows, length = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    row = st.lists(st.integers(0, high - 1), min_size=length, max_size=length)
    return torch.tensor(draw(st.lists(row, min_size=rows, max_size=rows)))


@law
@given(st.integers(1, 9), st.sampled_from([2.0, 100.0, 1e4]), places(high=10_000))
def test_sinusoids_are_the_formula_of_the_paper_at_any_position(dim: int, theta: float, positions: Tensor) -> None:
    x = torch.randn(*positions.shape, dim, dtype=torch.float64)
    out = made(position.sinusoidal(theta=theta), dim).embed(x, positions)
    expected = torch.stack([torch.stack([waves(theta, dim, int(each)) for each in row]) for row in positions])
    torch.testing.assert_close(out, x + expected, rtol=1e-10, atol=1e-11)


def test_the_base_is_ten_thousand_unless_stated() -> None:
    assert made(position.sinusoidal(), 4).theta == 10_000


@law
@given(st.integers(1, 9), places(high=16))
def test_learned_positions_add_their_row_of_the_table(dim: int, positions: Tensor) -> None:
    module = made(position.learned(), dim)
    x = torch.randn(*positions.shape, dim, dtype=torch.float64)
    expected = torch.stack([torch.stack([module.weight[int(each)] for each in row]) for row in positions])
    torch.testing.assert_close(module.embed(x, positions), x + expected, **EXACT)


@BOTH
@law
@given(data=st.data())
def test_a_decoder_reads_positions_and_not_places(config: Config, data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 6))
    cut = data.draw(st.integers(0, length))
    made, tokens = decoder(config), torch.randint(11, (2, length))
    restarting = torch.cat((torch.arange(cut), torch.arange(length - cut))).expand(2, -1)
    documents = (torch.arange(length) >= cut).long().expand(2, -1)
    packed = made(tokens, positions=restarting, documents=documents)
    alone = torch.cat([made(part) for part in tokens.split([cut, length - cut], dim=1) if part.numel()], dim=1)
    torch.testing.assert_close(packed, alone, rtol=1e-10, atol=1e-12)


@BOTH
def test_the_order_of_the_tokens_matters(config: Config) -> None:
    made = decoder(config)
    there, back = made(torch.tensor([[1, 2, 3]])), made(torch.tensor([[2, 1, 3]]))
    assert not torch.allclose(there[:, -1], back[:, -1], rtol=1e-6)


def test_in_bfloat16_the_sum_with_a_sinusoid_is_rounded_once() -> None:
    dim, positions = 16, torch.arange(1_000)[None]
    x = torch.randn(1, 1_000, dim).to(torch.bfloat16)
    out = made(position.sinusoidal(), dim, dtype=torch.float32).to(torch.bfloat16).embed(x, positions)
    assert out.dtype == torch.bfloat16
    exact = x.double() + torch.stack([waves(10_000, dim, place) for place in range(1_000)])
    # half a step of bfloat16, and what float32 makes of an angle of 1000 radians
    torch.testing.assert_close(out.double(), exact, rtol=2**-8, atol=1e-4)


def test_a_cast_neither_rounds_the_frequencies_nor_keeps_them_coarse() -> None:
    fine = made(position.sinusoidal(), 7).frequencies
    half = made(position.sinusoidal(), 7, dtype=torch.float32).to(torch.bfloat16)
    assert half.frequencies.dtype == torch.float32
    torch.testing.assert_close(half.frequencies, fine.float())
    torch.testing.assert_close(half.to(torch.float64).frequencies, fine, **EXACT)


def test_a_model_that_leaves_the_meta_device_has_its_frequencies() -> None:
    there = decoder(position.sinusoidal(), device="meta")
    assert there(torch.zeros(2, 3, dtype=torch.int64, device="meta")).shape == (2, 3, 11)
    here = there.to_empty(device="cpu").position
    torch.testing.assert_close(here.frequencies, made(position.sinusoidal(), 4).frequencies, **EXACT)
    assert not here.state_dict()


def test_learned_positions_pass_through_the_meta_device() -> None:
    there = decoder(position.learned(), device="meta")
    assert there(torch.zeros(2, 3, dtype=torch.int64, device="meta")).shape == (2, 3, 11)
    with pytest.raises(GenerationError, match="17 tokens arrived"):
        there(torch.zeros(2, 17, dtype=torch.int64, device="meta"))


def test_the_table_is_as_long_as_the_context_and_drawn_by_the_initialiser() -> None:
    table = decoder(position.learned(), context=5_000).position.weight
    assert table.shape == (5_000, 4)
    assert abs(table.std() / 0.02 - 1) < 0.05


def test_the_table_is_no_matrix_for_an_optimiser() -> None:
    module = made(position.learned(), 4)
    (group,) = parameter_groups(module)
    assert group == TABLE


@pytest.mark.parametrize(
    ("config", "known", "name"),
    [
        (position.learned(), {"dim": 4}, "context"),
        (position.learned(), {"context": 4}, "dim"),
        (position.sinusoidal(), {"context": 4}, "dim"),
    ],
)
def test_what_nobody_said_is_asked_for(config: Config, known: dict[str, int], name: str) -> None:
    with pytest.raises(MissingContext, match=f"{name} is not known here"):
        build(config, context=Context(**known))


def test_a_sequence_longer_than_the_table_is_refused() -> None:
    made = decoder(position.learned(), context=5)
    made(torch.zeros(1, 5, dtype=torch.int64))
    with pytest.raises(GenerationError, match="at most 5 learned positions; 6 tokens arrived: shorten the sequence"):
        made(torch.zeros(1, 6, dtype=torch.int64))


@pytest.mark.parametrize("place", [-1, 5, 10**12])
def test_a_position_beyond_the_table_is_refused(place: int) -> None:
    tokens = torch.zeros(2, 2, dtype=torch.int64)
    with pytest.raises(GenerationError, match=f"go from 0 to 4; {place} arrived: shorten the sequence"):
        decoder(position.learned(), context=5)(tokens, positions=torch.tensor([[0, 4], [place, 1]]))


def test_a_state_that_outgrows_the_table_is_refused() -> None:
    made = decoder(position.learned(), context=5)
    state = make_state(made, 1, capacity=9)
    with torch.no_grad():
        for _ in range(5):
            state.reserve(1)
            made(torch.zeros(1, 1, dtype=torch.int64), state)
        state.reserve(1)
        with pytest.raises(GenerationError, match="go from 0 to 4; 5 arrived"):
            made(torch.zeros(1, 1, dtype=torch.int64), state)


@BOTH
def test_a_full_row_rests_while_the_others_go_on(config: Config) -> None:
    made, tokens = decoder(config, context=5), torch.randint(11, (2, 5))
    state = make_state(made, 2, capacity=5)
    with torch.no_grad():
        state.reserve([5, 2])
        made(tokens, state, count=torch.tensor([5, 2]))
        state.reserve([0, 3])
        rest = made(tokens[:, 2:], state, count=torch.tensor([0, 3]))
    torch.testing.assert_close(rest[1], made(tokens)[1, 2:], rtol=1e-10, atol=1e-12)


@pytest.fixture
def forget_graphs() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@BOTH
@pytest.mark.usefixtures("forget_graphs")
def test_training_is_one_graph_and_so_is_decoding_after_the_prompt(config: Config) -> None:
    made, tokens = decoder(config), torch.randint(11, (2, 12))
    training, decoding = CompileCounter(), CompileCounter()
    compiled = torch.compile(made, fullgraph=True, backend=training)
    torch.testing.assert_close(compiled(tokens), made(tokens), **EXACT)
    compiled(tokens).sum().backward()
    assert training.frame_count == 1
    torch._dynamo.reset()
    compiled, state = torch.compile(made, fullgraph=True, backend=decoding), make_state(made, 2, 12)
    with torch.no_grad():
        steps = []
        for part in tokens.split([4] + 8 * [1], dim=1):
            state.reserve(part.shape[1])
            steps.append(compiled(part, state))
        torch.testing.assert_close(torch.cat(steps, 1), made(tokens), rtol=1e-10, atol=1e-12)
    assert decoding.frame_count == 2
