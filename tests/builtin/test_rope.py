"""Rotary positions: what rotates, by how much, over which axis."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from llm_build import Config, Context, SpecError, build
from llm_build_plugins import position
from tests.laws import law


@st.composite
def ropes(draw: st.DrawFn) -> tuple[Config, int]:
    """A config and a head_dim, of which a part or all rotates."""
    half, rest = draw(st.integers(1, 4)), draw(st.sampled_from([0, 2, 4]))
    head_dim = 2 * half + rest
    fraction = 2 * half / head_dim
    return position.rope(
        theta=draw(st.sampled_from([2.0, 1e4])), interleaved=draw(st.booleans()), fraction=fraction
    ), head_dim


def made(config: Config, head_dim: int, dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    module: torch.nn.Module = build(config, context=Context(head_dim=head_dim), dtype=dtype)
    return module


def by_hand(config: Config, x: Tensor, place: int) -> Tensor:
    """One head [E] at one place, pair by pair."""
    rotated, out = round(config.fraction * len(x)), x.clone()
    for pair in range(rotated // 2):
        first, second = (2 * pair, 2 * pair + 1) if config.interleaved is True else (pair, pair + rotated // 2)
        angle = place * config.theta ** (-2 * pair / rotated)
        out[first] = x[first] * math.cos(angle) - x[second] * math.sin(angle)
        out[second] = x[first] * math.sin(angle) + x[second] * math.cos(angle)
    return out


@law
@given(ropes(), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(0, 99))
def test_it_rotates_over_time_and_not_over_heads(
    drawn: tuple[Config, int], rows: int, length: int, heads: int, seed: int
) -> None:
    config, head_dim = drawn
    torch.manual_seed(seed)
    x = torch.randn(rows, length, heads, head_dim, dtype=torch.float64)
    positions = torch.randint(0, 5_000, (rows, length))
    out = made(config, head_dim).rotate(x, positions)
    for row in range(rows):
        for time in range(length):
            for head in range(heads):
                expected = by_hand(config, x[row, time, head], int(positions[row, time]))
                torch.testing.assert_close(out[row, time, head], expected, rtol=1e-10, atol=1e-11)


@law
@given(ropes(), st.integers(0, 10_000), st.integers(0, 100), st.integers(1, 3))
def test_scores_depend_on_the_distance_alone(drawn: tuple[Config, int], shift: int, distance: int, heads: int) -> None:
    config, head_dim = drawn
    rope = made(config, head_dim)
    q, k = torch.randn(2, 1, 1, heads, head_dim, dtype=torch.float64)

    def score(place: int) -> Tensor:
        there, here = torch.tensor([[place + distance]]), torch.tensor([[place]])
        return (rope.rotate(q, there) * rope.rotate(k, here)).sum(-1)

    torch.testing.assert_close(score(shift), score(0), rtol=1e-8, atol=1e-9)


def test_a_cast_neither_rounds_the_frequencies_nor_keeps_them_coarse() -> None:
    fine = made(position.rope(), 8).frequencies
    half = made(position.rope(), 8, torch.float32).to(torch.bfloat16)
    assert half.frequencies.dtype == torch.float32
    torch.testing.assert_close(half.frequencies, fine.float())
    torch.testing.assert_close(half.to(torch.float64).frequencies, fine, rtol=0, atol=0)


def test_a_model_that_leaves_the_meta_device_has_its_frequencies() -> None:
    rope: torch.nn.Module = build(position.rope(), context=Context(head_dim=8), device="meta")
    assert rope.frequencies.is_meta
    rope.to_empty(device="cpu")
    torch.testing.assert_close(rope.frequencies, made(position.rope(), 8, torch.float32).frequencies, rtol=0, atol=0)
    assert not rope.state_dict()


@pytest.mark.parametrize(("head_dim", "fraction"), [(5, 1), (6, 0.5), (8, 0.3)])
def test_what_rotates_must_be_even(head_dim: int, fraction: float) -> None:
    with pytest.raises(SpecError, match=r"fraction · head_dim must be an even number"):
        build(position.rope(fraction=fraction), context=Context(head_dim=head_dim))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@law
@given(
    ropes(), st.integers(1, 3), st.integers(1, 4), st.integers(1, 40), st.sampled_from([torch.float32, torch.bfloat16])
)
def test_one_kernel_of_a_gpu_rotates_as_torchs_operations_do(
    drawn: tuple[Config, int], rows: int, length: int, heads: int, dtype: torch.dtype
) -> None:
    config, head_dim = drawn
    module = made(config, head_dim, dtype).cuda()
    # heads between others, as a projection gives them
    x = torch.randn(rows, length, heads + 2, head_dim, device="cuda", dtype=dtype)[:, :, 1:-1]
    positions = torch.randint(0, 100_000, (rows, length), device="cuda")
    expected = module.rotate(x, positions)
    with torch.no_grad():
        actual = module.rotate(x, positions)
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.02, "atol": 0.04}
    torch.testing.assert_close(actual, expected, **close)
