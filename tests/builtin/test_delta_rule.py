"""The gated delta rule by itself, by chunks and a token at a time, against its equation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from llm_build_plugins.attention._delta_rule import CHUNK, many, one
from tests.builtin.recurrence import CLOSE, by_hand
from tests.laws import law

lengths = st.integers(1, 14)
sizes = st.integers(1, 6)
seeds = st.integers(0, 2**16)


def drawn(rows: int, length: int, seed: int, strength: float = 3.0) -> tuple[Tensor, ...]:
    """q, k, v, log α, β and a state, as `many` takes them, for 2 heads of width 3 and 4."""
    chance = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=chance)

    q, k, v = normal(rows, length, 2, 3), normal(rows, length, 2, 3), normal(rows, length, 2, 4)
    decay, beta = -strength * normal(rows, length, 2).abs(), normal(rows, length, 2).sigmoid()
    return q, k / k.norm(dim=-1, keepdim=True), v, decay, beta, normal(rows, 2, 3, 4)


@law
@given(st.integers(1, 2), lengths, sizes, seeds)
def test_by_chunks_of_any_size_it_is_the_recurrence(rows: int, length: int, size: int, seed: int) -> None:
    given = drawn(rows, length, seed)
    torch.testing.assert_close(many(*given, size=size), by_hand(*given), **CLOSE)


@law
@given(st.integers(1, 2), seeds)
def test_for_one_token_it_is_the_recurrence(rows: int, seed: int) -> None:
    given = drawn(rows, 1, seed)
    torch.testing.assert_close(one(*given), by_hand(*given), **CLOSE)


@law
@given(lengths, sizes, seeds)
def test_its_gradients_are_those_of_the_recurrence(length: int, size: int, seed: int) -> None:
    given = [each.requires_grad_() for each in drawn(1, length, seed)]
    found = []
    for y, state in (many(*given, size=size), by_hand(*given)):
        found.append(torch.autograd.grad(y.sin().sum() + state.cos().sum(), given))
    torch.testing.assert_close(*found, **CLOSE)


@law
@given(lengths, sizes, seeds, st.data())
def test_where_a_segment_begins_the_state_is_zero(length: int, size: int, seed: int, data: st.DataObject) -> None:
    begins = data.draw(st.sets(st.integers(1, length)))
    segments = torch.tensor([sum(begin <= t for begin in begins) for t in range(length)])[None]
    given = [each.requires_grad_() for each in drawn(1, length, seed)]
    found = []
    for y, state in (many(*given, segments=segments, size=size), by_hand(*given, begins=begins)):
        found.append((y, state, *torch.autograd.grad(y.sin().sum() + state.cos().sum(), given)))
    torch.testing.assert_close(*found, **CLOSE)


@law
@given(st.integers(2, 9), sizes, seeds, st.data())
def test_a_token_without_decay_and_share_changes_nothing(
    length: int, size: int, seed: int, data: st.DataObject
) -> None:
    q, k, v, decay, beta, state = drawn(1, length, seed)
    real = data.draw(st.integers(0, length - 1))
    decay[:, real:], beta[:, real:] = 0, 0
    _, after = many(q, k, v, decay, beta, state, size=size)
    _, expected = by_hand(*(each[:, :real] for each in (q, k, v, decay, beta)), state) if real else (None, state)
    torch.testing.assert_close(after, expected, **CLOSE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gates_that_forget_everything_overflow_nothing_and_cost_no_digits(dtype: torch.dtype) -> None:
    given = drawn(2, 3 * CHUNK + 5, seed=3)
    decay = given[3]
    decay[:, ::3] = -1e6
    decay[:, 1::3] = -1e-3
    expected = by_hand(*given)
    narrow = [each.to(dtype).requires_grad_() for each in given]
    y, state = many(*narrow)
    precision = CLOSE if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close((y.double(), state.double()), expected, **precision)
    assert all(each.isfinite().all() for each in torch.autograd.grad(y.square().sum(), narrow))


def test_equal_keys_without_decay_stay_exact_over_many_chunks() -> None:
    # the inverse of a chunk's triangle, taken by powers, would lose all digits here
    q, k, v, decay, beta, state = drawn(1, 4 * CHUNK, seed=1)
    k[:], decay[:], beta[:] = k[:, :1], 0, 1
    torch.testing.assert_close(
        many(q, k, v, decay, beta, state), by_hand(q, k, v, decay, beta, state), rtol=1e-9, atol=1e-9
    )
