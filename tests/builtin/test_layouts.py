"""What every cache gives back to a mixer: each token that may be read, once, at its place, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from llm_build import CapacityError, Context, Field, InOrder, Sizes, View
from tests.builtin.caches import CACHES, Keeper, caches, poison, state_of, tensors_of
from tests.laws import law

EXACT = {"rtol": 0.0, "atol": 0.0}


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Field]:
    """A mixer with two coded fields and an integer one; each may be read as far back as it likes."""
    reach = st.none() | st.integers(1, 4)
    return {
        "k": Field((2, 4), reach=draw(reach), parts=draw(st.sampled_from([None, (3, 1)]))),
        "v": Field((3,), reach=draw(reach)),
        "kind": Field((), dtype=torch.int64, reach=draw(reach)),
    }


def tokens(rows: int, length: int, seed: int) -> dict[str, Tensor]:
    noise = torch.Generator().manual_seed(seed)
    return {
        "k": torch.randn(rows, length, 2, 4, generator=noise, dtype=torch.float64),
        "v": torch.randn(rows, length, 3, generator=noise, dtype=torch.float64),
        "kind": torch.randint(99, (rows, length), generator=noise),
    }


def reach_of(spec: Mapping[str, Field]) -> int:
    """The longest of a mixer decides: there is one place for all that a call reads."""
    return max(10**6 if field.reach is None else field.reach for field in spec.values())


@law
@given(
    cache=caches,
    spec=specs(),
    rows=st.integers(1, 3),
    most=st.integers(1, 4),
    seed=st.integers(0, 2**16),
    data=st.data(),
)
def test_what_is_in_reach_is_read_once_at_its_place_as_it_was_stored(
    cache: str, spec: dict[str, Field], rows: int, most: int, seed: int, data: st.DataObject
) -> None:
    keeper, held = Keeper(spec), [0] * rows
    state = state_of(keeper, rows, cache, capacity=14, max_step=most)
    everything = tokens(rows, 14 + most, seed)
    expected = state.views[0]["mixer"].rounded(everything)
    for _ in range(4):
        counts = [data.draw(st.integers(0, min(most, 14 - each))) for each in held]
        new = {
            name: torch.stack([each[row, start : start + most] for row, start in enumerate(held)])
            for name, each in everything.items()
        }
        ((fields, k_index),) = keeper.feed(state, new, counts)
        for row, (start, count) in enumerate(zip(held, counts, strict=True)):
            least = max(0, start + 1 - reach_of(spec))
            seen = {place: cell for cell, place in enumerate(k_index[row].tolist()) if place >= least}
            assert sorted(seen) == list(range(least, start + count))
            assert (k_index[row] >= least).sum() == len(seen), "a place is read once"
            cells = [seen[place] for place in sorted(seen)]
            for name, each in fields.items():
                torch.testing.assert_close(each[row, cells], expected[name][row, least : start + count], **EXACT)
        held = [start + count for start, count in zip(held, counts, strict=True)]


@law
@given(
    cache=caches,
    inherited=st.booleans(),
    spec=specs(),
    most=st.integers(1, 4),
    seed=st.integers(0, 2**16),
    data=st.data(),
)
def test_a_range_reads_what_the_whole_reads_where_the_others_take_no_token(
    cache: str, inherited: bool, spec: dict[str, Field], most: int, seed: int, data: st.DataObject
) -> None:
    """By the layout's own range and by the one that it would inherit."""
    keeper = Keeper(spec)
    whole, state = (state_of(keeper, 3, cache, capacity=20, max_step=most) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        if inherited:
            patch.setattr(type(state.views[0]["mixer"]), "range", View.range)
        for call in range(4):
            new, start = tokens(3, most, seed + call), data.draw(st.integers(0, 2))
            stop = data.draw(st.integers(start + 1, 3))
            counts = [data.draw(st.integers(0, most)) if start <= row < stop else 0 for row in range(3)]
            ((expected, places),) = keeper.feed(whole, new, counts)
            some = {name: each[start:stop] for name, each in new.items()}
            ((fields, k_index),) = keeper.feed(state.range(start, stop), some, counts[start:stop])
            for row in range(start, stop):
                assert sorted(read(fields, k_index, row - start)) == sorted(read(expected, places, row))
            if call == 1:
                for each, first in ((whole, 1), (state.range(1, 3), 0)):
                    each.fork([first], [first + 1])
                    each.reset([first])
    assert torch.equal(state.lengths, whole.lengths)


def read(fields: Mapping[str, Tensor], k_index: Tensor, row: int) -> list[tuple[int, list[float]]]:
    """What a row reads, by its place."""
    real = [cell for cell, place in enumerate(k_index[row].tolist()) if place >= 0]
    flat = torch.cat([each[row].flatten(1) if each.dim() > 2 else each[row, :, None] for each in fields.values()], 1)
    return [(int(k_index[row, cell]), flat[cell].tolist()) for cell in real]


@law
@given(cache=caches, spec=specs(), most=st.integers(1, 4), seed=st.integers(0, 2**16))
def test_what_was_no_token_or_belonged_to_others_is_never_read(
    cache: str, spec: dict[str, Field], most: int, seed: int
) -> None:
    """Rules 10 and 12 of the model contract: finite, whatever was written for no token and whoever was there before."""
    keeper, new = Keeper(spec), tokens(2, most, seed)
    state = state_of(keeper, 2, cache, capacity=20, max_step=most)
    keeper.feed(state, new, [most, most])
    poison(keeper, state, [most, 0], float("nan"))
    state.fork([1], [0])
    poison(keeper, state, [0, most], float("nan"))
    state.reset([1])
    ((fields, _),) = keeper.feed(state, new, [most, most])
    assert all(each.isfinite().all() for each in fields.values())


@pytest.mark.parametrize("reach", [None, 1_000])
@pytest.mark.parametrize("cache", CACHES)
def test_only_the_length_in_use_is_read(cache: str, reach: int | None) -> None:
    keeper = Keeper({"k": Field((2,), reach=reach)})
    state = state_of(keeper, 1, cache, capacity=10_000, max_step=1)
    ((fields, k_index),) = keeper.feed(state, {"k": torch.ones(1, 1, 2)}, [1])
    assert fields["k"].shape[1] == k_index.shape[1] <= 64 + 2


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize(
    ("reach", "capacity", "cells"), [((3, 3), 20, 3 + 4 - 1), ((3, 5), 20, 5 + 4 - 1), ((3, 17), 20, None)]
)
def test_a_short_reach_takes_a_ring_of_the_longest_and_one_step_less_one(
    cache: str, reach: tuple[int, int], capacity: int, cells: int | None
) -> None:
    """Rule 4 of the model contract, and 5: nobody picks a ring, and none is as long as the capacity."""
    keeper = Keeper({"k": Field((2,), reach=reach[0]), "v": Field((2,), reach=reach[1])})
    view = state_of(keeper, 2, cache, capacity=capacity, max_step=4).views[0]["mixer"]
    ring = {each.shape[:2] for each in view.tensors() if each.dim() == 3}
    assert (ring == {(2, cells and cells + 1)}) == (cells is not None)
    assert (view.slack is None) == (cells is None)


@pytest.mark.parametrize("cache", CACHES)
def test_a_ring_is_written_before_it_is_read_and_still_has_all_that_the_first_query_sees(cache: str) -> None:
    """Rule 4 of the model contract: its slack makes that exact, and nothing is copied beside it."""
    keeper = Keeper({"k": Field((1,), reach=2)})
    state = state_of(keeper, 1, cache, capacity=30, max_step=3)
    new = torch.arange(1.0, 4.0, dtype=torch.float64).view(1, 3, 1)
    for start in (0, 3, 6, 9):
        ((fields, k_index),) = keeper.feed(state, {"k": new + start}, [3])
        assert fields["k"].shape[1] == 2 + 3 - 1
        assert sorted(k_index[0].tolist()) == [start - 1 if start else -1, start, start + 1, start + 2]


@law
@given(cache=caches, spec=specs(), seed=st.integers(0, 2**16), data=st.data())
def test_what_is_stored_lies_where_its_places_say(
    cache: str, spec: dict[str, Field], seed: int, data: st.DataObject
) -> None:
    """Two states are fed alike: one reads, of the other a kernel is told where to read."""
    keeper = Keeper(spec)
    read, told = (state_of(keeper, 2, cache, capacity=14, max_step=3) for _ in range(2))
    for start in range(0, 9, 3):
        new = tokens(2, 3, seed + start)
        counts = data.draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
        ((expected, places),) = keeper.feed(read, new, counts)
        ((kept, where),) = keeper.feed(told, new, counts, way="store")
        assert isinstance(where, InOrder)
        q_index = torch.where(torch.tensor(counts) > 0, told.lengths - torch.tensor(counts), -1)[:, None]
        fields, k_index = where.read(kept, q_index)
        assert torch.equal(k_index, places)
        assert all(torch.equal(fields[name][places >= 0], expected[name][places >= 0]) for name in spec)


@law
@given(
    cache=caches, reach=st.integers(1, 5), most=st.integers(1, 4), start=st.integers(0, 12), seed=st.integers(0, 2**16)
)
def test_a_whole_step_that_is_rejected_takes_nothing_with_it(
    cache: str, reach: int, most: int, start: int, seed: int
) -> None:
    """Rule 4 of the model contract: with one cell less, a key that is still in reach would be gone."""
    keeper = Keeper({"k": Field((1, 2), reach=reach)})
    state = state_of(keeper, 1, cache, capacity=30, max_step=most)
    everything = torch.randn(1, start + most, 1, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for place in range(start):
        keeper.feed(state, {"k": everything[:, place : place + 1]}, [1])
    mark = state.mark()
    poison(keeper, state, [most], 1e30)
    state.rewind(mark)
    ((fields, k_index),) = keeper.feed(state, {"k": everything[:, start : start + 1]}, [1])
    expected = state.views[0]["mixer"].rounded({"k": everything})["k"]
    for place in range(max(0, start + 1 - reach), start + 1):
        (cell,) = (k_index[0] == place).nonzero().flatten().tolist()
        torch.testing.assert_close(fields["k"][0, cell], expected[0, place], **EXACT)


@pytest.mark.parametrize("cache", CACHES)
def test_a_mark_of_a_ring_holds_for_one_step_whatever_was_rewound_since(cache: str) -> None:
    keeper = Keeper({"k": Field((1,), reach=2)})
    state = state_of(keeper, 2, cache, capacity=40, max_step=3)

    def feed(count: int) -> None:
        keeper.feed(state, {"k": torch.zeros(2, 3, 1)}, [0, count])

    feed(3)
    mark = state.mark()
    feed(2)
    later = state.mark()
    feed(1)
    state.rewind(mark)
    feed(2)
    feed(2)
    with pytest.raises(CapacityError, match="a mark holds for 3 more a row; row 1 may have taken 4"):
        state.rewind(mark)
    assert state.lengths.tolist() == [0, 7]
    state.rewind(later)
    with pytest.raises(CapacityError, match="a mark holds for 3 more a row; row 1 may have taken 4"):
        state.rewind(mark)
    state.reset([1])
    state.rewind(state.mark())


def test_a_mark_of_whole_texts_holds_for_any_number_of_tokens() -> None:
    keeper = Keeper({"k": Field((1,))})
    state = state_of(keeper, 1, None, capacity=40, max_step=3)
    mark = state.mark()
    for _ in range(5):
        keeper.feed(state, {"k": torch.zeros(1, 3, 1)}, [3])
    state.rewind(mark)
    assert state.lengths.tolist() == [0]


@pytest.mark.parametrize("cache", CACHES)
def test_recurrent_state_memory_and_integers_are_stored_as_they_are(cache: str) -> None:
    """Rule 5 of the model contract."""
    keeper = Keeper(
        {
            "k": Field((1, 2)),
            "kind": Field((1, 2), dtype=torch.int64),
            "h": Field((1, 2), per="sequence"),
            "m": Field((1, 2), per="memory"),
        }
    )
    state = state_of(keeper, 1, cache, capacity=4, memory=3)
    view = state.views[0]["mixer"]
    exact = torch.tensor([[1.0, 1e-9]], dtype=torch.float64)
    view.keep("h", exact[None], None)
    view.remember({"m": exact.expand(1, 3, 1, 2)}, torch.tensor([3]))
    assert torch.equal(view.sequence["h"][0], exact)
    assert torch.equal(view.memory["m"][0, 2], exact)
    large = torch.tensor([[[[2**40 + 1, 1]]]])
    ((fields, _),) = keeper.feed(state, {"k": exact.expand(1, 1, 1, 2), "kind": large}, [1])
    assert torch.equal(fields["kind"][0, :1], large[0])


@pytest.mark.parametrize("cache", CACHES)
def test_the_storage_of_one_mixer_works_by_itself(cache: str) -> None:
    layout = CACHES[cache].build(Context())
    sizes = Sizes(rows=2, capacity=7, max_step=7)
    view = layout.view({"k": Field((3,))}, sizes, torch.zeros(1, dtype=torch.float64))
    keeper = Keeper({"k": Field((3,))})
    state = state_of(keeper, 2, cache, capacity=7)
    state.views = [{"mixer": view}]
    new = torch.randn(2, 7, 3, dtype=torch.float64)
    ((fields, k_index),) = keeper.feed(state, {"k": new}, [7, 4])
    assert k_index[:, :7].tolist() == [[0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3, -1, -1, -1]]
    torch.testing.assert_close(fields["k"][1, :4], view.rounded({"k": new})["k"][1, :4], **EXACT)


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_memory_is_known_before_it_is_allocated_and_follows_what_a_token_takes(cache: str, dtype: torch.dtype) -> None:
    field = Field((2, 8), parts=(6, 2))
    keeper = Keeper({"k": field}, {"k": field}).to(dtype)
    sizes = {"max_step": 4}
    there = [state_of(keeper, 2, cache, capacity=capacity, **sizes) for capacity in (24, 48)]
    assert there[0].nbytes == sum(each.nbytes for each in {*tensors_of(there[0])}) + 2 * there[0].lengths.nbytes
    keeper.to("meta")
    known = [state_of(keeper, 2, cache, capacity=capacity, **sizes) for capacity in (24, 48)]
    assert [each.nbytes for each in known] == [each.nbytes for each in there]
    layout = CACHES[cache].build(Context())
    token = layout.token_bytes(Field((2, 8), parts=(6, 2), dtype=dtype))
    more = there[1].nbytes - there[0].nbytes
    # beside it the places, 8 bytes each, or the page table
    assert 2 * 2 * 24 * token <= more <= 2 * 2 * 24 * token + 2 * 24 * 8
