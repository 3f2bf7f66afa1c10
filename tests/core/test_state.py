"""What a state refuses, what it counts, and what it keeps per sequence."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import CapacityError, Field, GenerationError, State, Step, make_state
from tests.core.toy import Toy
from tests.laws import law


@pytest.fixture
def state() -> State:
    return make_state(Toy(3), rows=2, capacity=200, max_step=150)


def test_begin_gives_the_places_that_follow_and_minus_one_where_there_is_no_token(state: State) -> None:
    state.reserve([2, 0])
    state.begin(torch.tensor([2, 0]), 2)
    state.advance(torch.tensor([2, 0]))
    state.reserve([1, 2])
    index, positions = state.begin(torch.tensor([1, 2]), 2)
    assert index.tolist() == [[2, -1], [0, 1]]
    assert positions.tolist() == [[2, 3], [0, 1]]


def test_more_than_was_reserved_is_refused(state: State) -> None:
    state.reserve([1, 2])
    with pytest.raises(CapacityError, match="2 tokens arrived for row 0, 1 are reserved"):
        state.begin(torch.tensor([2, 2]), 2)


def test_a_reset_of_a_row_that_is_not_there_changes_nothing(state: State) -> None:
    state.reserve(3)
    state.begin(None, 3)
    state.advance(3)
    with pytest.raises(CapacityError, match="holds rows 0 to 1"):
        state.reset([0, 5])
    assert state.lengths.tolist() == [3, 3]


def test_the_span_follows_the_length_in_use_and_not_the_capacity(state: State) -> None:
    spans = []
    for count in (1, 63, 1, [0, 64], [0, 64], [0, 7]):
        state.reserve(count)
        spans.append(state.span)
    assert spans == [64, 64, 96, 192, 200, 200]
    state.reset([1])
    state.reserve(1)
    assert state.span == 96


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (151, "from 0 to 150 tokens a row; 151 arrived for row 0"),
        ([0, -1], "-1 arrived for row 1"),
        ([1], "holds 2 rows; counts for 1 arrived"),
    ],
)
def test_reserve_refuses(state: State, count: int | list[int], message: str) -> None:
    with pytest.raises(CapacityError, match=message):
        state.reserve(count)
    state.reserve([150, 150])


def test_a_call_without_reserve_is_refused(state: State) -> None:
    with pytest.raises(CapacityError, match="3 tokens a row arrived, 0 are reserved"):
        state.begin(None, 3)
    state.reserve(2)
    with pytest.raises(CapacityError, match="3 tokens a row arrived, 2 are reserved"):
        state.begin(None, 3)
    state.begin(None, 2)
    state.advance(2)
    with pytest.raises(CapacityError, match=r"call state\.reserve first"):
        state.begin(None, 1)


@pytest.mark.parametrize("between", ["reset", "fork", "rewind"])
def test_what_moves_rows_after_a_reserve_voids_it_so_that_no_row_overflows(state: State, between: str) -> None:
    mark = state.mark()
    state.reserve([150, 0])
    {"reset": lambda: state.reset([0]), "fork": lambda: state.fork([1], [0]), "rewind": lambda: state.rewind(mark)}[
        between
    ]()
    with pytest.raises(CapacityError, match=r"call state\.reserve first"):
        state.begin(torch.tensor([150, 0]), 150)


def test_a_state_is_refused_under_gradients_beside_documents_and_for_other_rows(state: State) -> None:
    tokens = torch.zeros(2, 1, dtype=torch.int64)
    state.reserve(1)
    with pytest.raises(GenerationError, match=r"under torch\.inference_mode"):
        Step.begin(tokens, state)
    with torch.no_grad():
        with pytest.raises(GenerationError, match="documents are for packed training"):
            Step.begin(tokens, state, documents=tokens)
        with pytest.raises(CapacityError, match="holds 2 rows; tokens of 3 rows arrived"):
            Step.begin(tokens.new_zeros(3, 1), state)
        Step.begin(tokens, state)


@pytest.mark.parametrize("name", ["rows", "capacity", "max_step"])
def test_sizes_below_one_are_refused(name: str) -> None:
    with pytest.raises(CapacityError, match=f"{name} must be at least 1; 0 arrived"):
        make_state(Toy(3), **{"rows": 1, "capacity": 1, "max_step": 1, name: 0})


def test_a_state_made_under_inference_mode_can_be_written_outside_of_it() -> None:
    model, tokens = Toy(3), torch.ones(1, 1, dtype=torch.int64)
    with torch.inference_mode():
        state = make_state(model, rows=1, capacity=4)
        state.reserve(1)
        model(tokens, state)
    state.reserve(1)
    with torch.no_grad():
        model(tokens, state)
    assert state.lengths.tolist() == [2]


def test_a_plain_step_is_one_where_nothing_but_causality_decides() -> None:
    tokens, count = torch.zeros(2, 3, dtype=torch.int64), torch.tensor([3, 1])
    assert Step.begin(tokens).plain
    assert Step.begin(tokens, positions=tokens).plain
    assert not Step.begin(tokens, count=count).plain
    assert not Step.begin(tokens, documents=tokens).plain
    assert Step.begin(tokens, count=count).index.tolist() == [[0, 1, 2], [0, -1, -1]]
    assert Step.begin(tokens, count=count).positions.tolist() == [[0, 1, 2], [0, 1, 2]]


@law
@given(rows=st.integers(1, 3), length=st.integers(1, 7), dim=st.integers(1, 4), data=st.data())
def test_what_is_kept_per_sequence_follows_ragged_counts(rows: int, length: int, dim: int, data: st.DataObject) -> None:
    model, done = Toy(dim), [0] * rows
    tokens = torch.randint(7, (rows, length))
    full, state = model(tokens), make_state(model, rows, length)
    while min(done) < length:
        counts = [length - each - data.draw(st.integers(0, length - each)) for each in done]
        chunk = torch.stack([tokens[row].roll(-start) for row, start in enumerate(done)])
        state.reserve(counts)
        with torch.no_grad():
            out = model(chunk, state, count=torch.tensor(counts))
        for row, (start, count) in enumerate(zip(done, counts, strict=True)):
            torch.testing.assert_close(out[row, :count], full[row, start : start + count], rtol=0, atol=0)
        done = [start + count for start, count in zip(done, counts, strict=True)]
        assert all(layer["mixer"].sequence["seen"].tolist() == done for layer in state.views)


def test_a_step_keeps_nothing_for_a_row_without_new_tokens() -> None:
    state, count = make_state(Toy(2), rows=2, capacity=4), torch.tensor([0, 1])
    state.reserve([0, 1])
    with torch.no_grad():
        step = Step.begin(torch.zeros(2, 1, dtype=torch.int64), state, count=count).at(0).at("mixer")
    step.keep("h", torch.full((2, 2), float("nan")).where(count[:, None] == 0, 1.0))
    assert state.views[0]["mixer"].sequence["h"].tolist() == [[0, 0], [1, 1]]


def test_keep_leaves_a_row_without_new_tokens_alone_and_reset_zeroes_one() -> None:
    state = make_state(Toy(2), rows=3, capacity=4)
    view = state.views[0]["mixer"]
    view.keep("h", torch.ones(3, 2), torch.tensor([1, 0, 2]))
    assert view.sequence["h"].tolist() == [[1, 1], [0, 0], [1, 1]]
    state.reset([0])
    assert view.sequence["h"].tolist() == [[0, 0], [0, 0], [1, 1]]


def test_two_states_never_meet() -> None:
    model = Toy(2)
    one, other = make_state(model, 1, 4), make_state(model, 1, 4)
    one.reserve(1)
    with torch.no_grad():
        model(torch.ones(1, 1, dtype=torch.int64), one)
    assert other.lengths.tolist() == [0]
    assert not any(kept.any() for kept in other.views[0]["mixer"].sequence.values())


@pytest.mark.parametrize("parts", [(2, 3), (), (6, -2), (4, 0)])
def test_parts_of_a_field_sum_to_its_last_axis(parts: tuple[int, ...]) -> None:
    assert Field((1, 4), parts=(3, 1)).parts == (3, 1)
    with pytest.raises(ValueError, match="sum to its last axis"):
        Field((1, 4), parts=parts)
