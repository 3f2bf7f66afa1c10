"""Numbers in 8 bits: how far off they are, what shares a scale, and what a token that is no number does to others."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from llm_build import Context, Field
from llm_build_plugins import generate
from tests.builtin.caches import CACHES, Keeper, state_of
from tests.laws import law

INT8 = generate.int8().build(Context())
INT8_CACHES = [name for name in CACHES if name.endswith("-int8")]


def coded(value: Tensor, field: Field) -> Tensor:
    found: Tensor = INT8.decode(INT8.encode(value, field), field)
    return found


@st.composite
def vectors(draw: st.DrawFn) -> tuple[Tensor, Field]:
    """value [B, T, K, E] of any magnitude, some of its vectors zero, and its field in one to three parts."""
    parts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    dtype = draw(st.sampled_from([torch.float64, torch.float32, torch.bfloat16]))
    noise = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    value = torch.randn(2, 3, 2, sum(parts), generator=noise, dtype=torch.float64)
    value *= 10.0 ** torch.randint(-9, 9, (2, 3, 2, 1), generator=noise)
    value *= torch.rand(2, 3, 2, 1, generator=noise) > 0.3
    return value.to(dtype), Field((2, sum(parts)), parts=tuple(parts), dtype=dtype)


@law
@given(vectors())
def test_a_number_is_off_by_half_a_step_of_its_token_head_and_part_at_most(drawn: tuple[Tensor, Field]) -> None:
    """Rule 8 of the model contract: a part with small numbers is not made coarse by one with large ones."""
    value, field = drawn
    assert field.parts is not None
    found = coded(value, field)
    assert found.dtype == value.dtype
    rounding = torch.finfo(value.dtype).eps
    for part, other in zip(value.double().split(field.parts, -1), found.double().split(field.parts, -1), strict=True):
        largest = part.abs().amax(-1, keepdim=True)
        assert ((part - other).abs() <= largest * (0.5001 / 127 + rounding)).all()
        torch.testing.assert_close(other.abs().amax(-1, keepdim=True), largest, rtol=2 * rounding, atol=0)


@law
@given(vectors(), st.sampled_from([float("nan"), float("inf"), -float("inf")]), st.data())
def test_what_is_no_number_spoils_its_own_part_alone(
    drawn: tuple[Tensor, Field], bad: float, data: st.DataObject
) -> None:
    value, field = drawn
    assert field.parts is not None
    spoilt, at = value.clone(), data.draw(st.integers(0, value.shape[-1] - 1))
    spoilt[1, 2, 0, at] = bad
    ends = torch.tensor(field.parts).cumsum(0)
    part = int((ends <= at).sum())
    hit = torch.zeros_like(value, dtype=torch.bool)
    hit[1, 2, 0, ends[part] - field.parts[part] : ends[part]] = True
    clean, found = coded(value, field), coded(spoilt, field)
    assert found[1, 2, 0, at].isnan()
    torch.testing.assert_close(found[~hit], clean[~hit], rtol=0, atol=0)


@law
@given(vectors())
def test_a_token_is_coded_by_itself(drawn: tuple[Tensor, Field]) -> None:
    value, field = drawn
    alone = torch.stack([torch.stack([coded(token, field) for token in row]) for row in value])
    assert torch.equal(alone, coded(value, field))


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(torch.float16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_a_scale_a_head_and_part_is_stored_in_float32_or_wider(dtype: torch.dtype, scale: torch.dtype) -> None:
    planes = INT8.planes(Field((2, 5), parts=(3, 2), dtype=dtype))
    assert {name: (each.shape, each.dtype) for name, each in planes.items()} == {
        "": ((2, 5), torch.int8),
        ".scale": ((2, 2), scale),
    }


@pytest.mark.parametrize("field", [Field((3,), dtype=torch.int64), Field((), dtype=torch.float32)])
def test_integers_and_what_has_no_axis_stay_as_they_are(field: Field) -> None:
    assert INT8.planes(field) == {"": field}
    value = torch.tensor([2**40 + 1]).expand(2, 4, *field.shape).to(field.dtype)
    assert torch.equal(coded(value, field), value)


@pytest.mark.parametrize("reach", [None, 2])
@pytest.mark.parametrize("cache", INT8_CACHES)
def test_new_tokens_are_answered_from_the_store_as_old_ones_are(cache: str, reach: int | None) -> None:
    """Rule 8 of the model contract: a prompt in one call reads what the same tokens one by one read."""
    field = Field((2, 4), reach=reach, parts=(3, 1))
    keeper = Keeper({"k": field})
    new = torch.randn(1, 3, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    state = state_of(keeper, 1, cache, capacity=20, max_step=3)
    ((fields, k_index),) = keeper.feed(state, {"k": new}, [3])
    expected = coded(new, Field((2, 4), parts=(3, 1), dtype=torch.float64))
    assert not torch.equal(expected, new)
    cells = [(k_index[0] == place).nonzero().item() for place in range(3)]
    assert torch.equal(fields["k"][0, cells], expected[0])
    assert torch.equal(state.views[0]["mixer"].rounded({"k": new})["k"], expected)


@pytest.mark.parametrize("cache", INT8_CACHES)
def test_what_kernels_are_told_of_is_a_copy_of_the_length_in_use(cache: str) -> None:
    keeper = Keeper({"k": Field((2,))})
    state = state_of(keeper, 1, cache, capacity=10_000, max_step=1)
    ((fields, where),) = keeper.feed(state, {"k": torch.ones(1, 1, 2)}, [1], way="store")
    assert fields["k"].shape[1] <= 64 + 2
    assert where.table is None
