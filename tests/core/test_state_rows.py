"""Rows of a state that are copied, and places that are come back to. A toy keeps something per sequence."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

from llm_build import CapacityError, State, make_state
from tests.core.toy import Toy


@pytest.fixture
def model() -> Toy:
    torch.manual_seed(0)
    return Toy(3)


@pytest.fixture
def state(model: Toy) -> State:
    return make_state(model, rows=3, capacity=6)


def feed(model: Toy, state: State, tokens: list[list[int]], counts: list[int] | None = None) -> torch.Tensor:
    state.reserve(len(tokens[0]) if counts is None else counts)
    with torch.no_grad():
        return model(torch.tensor(tokens), state, count=None if counts is None else torch.tensor(counts))


def test_a_fork_copies_a_row_and_the_two_go_on_by_themselves(model: Toy, state: State) -> None:
    feed(model, state, [[1, 2], [3, 4], [5, 6]], [2, 1, 0])
    state.fork([0], [2])
    assert state.lengths.tolist() == [2, 1, 2]
    same = feed(model, state, [[1], [1], [1]])
    torch.testing.assert_close(same[2], same[0], rtol=0, atol=0)
    apart = feed(model, state, [[1], [1], [2]])
    assert (apart[2] != apart[0]).any()


def test_rows_can_change_places(model: Toy, state: State) -> None:
    feed(model, state, [[1, 2], [3, 4], [5, 6]], [2, 1, 0])
    kept = state.views[0]["mixer"].sequence["h"].clone()
    state.fork([0, 1], [1, 0])
    assert state.lengths.tolist() == [1, 2, 0]
    assert torch.equal(state.views[0]["mixer"].sequence["h"], kept[[1, 0, 2]])


def test_the_room_of_a_forked_row_is_that_of_its_source(model: Toy, state: State) -> None:
    feed(model, state, [[1, 2, 3, 4, 5]] * 3, [5, 0, 0])
    state.fork([0], [1])
    with pytest.raises(CapacityError, match="row 1 may hold 5 of 6 tokens"):
        state.reserve([0, 2, 0])
    state.fork([2], [0])
    state.reserve([6, 0, 0])


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ([0], [3], r"rows 0 to 2; a fork of \[0, 3\]"),
        ([-1], [0], r"rows 0 to 2; a fork of \[-1, 0\]"),
        ([0, 1], [2, 2], r"writes each row once, from one row; \[0, 1\] to \[2, 2\]"),
        ([0, 1], [2], r"writes each row once, from one row; \[0, 1\] to \[2\]"),
    ],
)
def test_a_fork_that_makes_no_sense_is_refused_and_changes_nothing(
    model: Toy, state: State, source: list[int], target: list[int], message: str
) -> None:
    feed(model, state, [[1], [2], [3]], [1, 1, 0])
    kept = state.views[0]["mixer"].sequence["h"].clone()
    with pytest.raises(CapacityError, match=message):
        state.fork(source, target)
    assert state.lengths.tolist() == [1, 1, 0]
    assert torch.equal(state.views[0]["mixer"].sequence["h"], kept)


def test_rewinding_brings_back_lengths_room_and_what_was_kept(model: Toy, state: State) -> None:
    feed(model, state, [[1], [2], [3]])
    mark = state.mark()
    first = feed(model, state, [[4, 5, 6, 1, 2]] * 3, [5, 2, 1])
    state.rewind(mark)
    assert state.lengths.tolist() == [1, 1, 1]
    torch.testing.assert_close(feed(model, state, [[4, 5, 6, 1, 2]] * 3, [5, 2, 1]), first, rtol=0, atol=0)
    state.rewind(mark)
    state.reserve(5)


def test_a_mark_can_be_used_again_and_does_not_follow_what_comes_after(model: Toy, state: State) -> None:
    feed(model, state, [[1], [2], [3]])
    mark = state.mark()
    outs = []
    for _ in range(3):
        outs.append(feed(model, state, [[4, 5], [4, 5], [4, 5]]))
        state.rewind(mark)
    for other in outs[1:]:
        torch.testing.assert_close(other, outs[0], rtol=0, atol=0)


@pytest.mark.parametrize("between", ["reset", "fork"])
def test_a_mark_from_before_a_row_became_another_is_refused_and_changes_nothing(
    model: Toy, state: State, between: str
) -> None:
    feed(model, state, [[1], [2], [3]])
    mark = state.mark()
    feed(model, state, [[1], [2], [3]])
    {"reset": lambda: state.reset([0]), "fork": lambda: state.fork([1], [0])}[between]()
    before = state.lengths.tolist()
    with pytest.raises(CapacityError, match="until a row is reset or forked, and one was since: mark again"):
        state.rewind(mark)
    assert state.lengths.tolist() == before


def test_a_fork_copies_the_memory_length(model: Toy) -> None:
    state = make_state(model, rows=3, capacity=4, memory=3)
    state.remember(torch.zeros(3, 3, 5), torch.tensor([2, 3, 1]))
    state.fork([1], [2])
    assert state.memory_lengths.tolist() == [2, 3, 3]


def test_a_reset_forgets_the_memory_length(model: Toy) -> None:
    state = make_state(model, rows=2, capacity=4, memory=3)
    state.remember(torch.zeros(2, 3, 5), torch.tensor([2, 3]))
    state.remember(torch.zeros(2, 1, 5), torch.tensor([-1, 1]))
    assert state.memory_lengths.tolist() == [2, 1]
    state.reset([0])
    assert state.memory_lengths.tolist() == [0, 1]


# --- ranges ---


@pytest.mark.parametrize("counts", [None, [2, 1], [0, 2]])
def test_a_range_is_the_whole_with_no_token_for_the_others(model: Toy, counts: list[int] | None) -> None:
    whole, state = (make_state(model, rows=3, capacity=6) for _ in range(2))
    for each in (whole, state):
        feed(model, each, [[1, 2], [3, 4], [5, 6]], [2, 1, 2])
    part = state.range(1, 3)
    found = feed(model, part, [[4, 5], [6, 1]], counts)
    everywhere = feed(model, whole, [[0, 0], [4, 5], [6, 1]], [0, *(counts or [2, 2])])
    assert torch.equal(state.lengths, whole.lengths)
    assert torch.equal(part.lengths, whole.lengths[1:])
    for row, count in enumerate(counts or [2, 2]):
        assert torch.equal(found[row, :count], everywhere[row + 1, :count])
    after = [feed(model, each, [[1], [1], [1]]) for each in (whole, state)]
    assert torch.equal(*after)


def test_a_range_is_made_once_while_it_is_held_and_copies_nothing(state: State) -> None:
    part = state.range(1, 3)
    assert state.range(1, 3) is part
    assert part.range(0, 2) is part
    assert part.range(1, 2) is state.range(2, 3)
    assert state.range(0, 3) is state
    assert part.lengths.data_ptr() == state.lengths[1:].data_ptr()
    kept = [each.views[0]["mixer"].sequence["h"] for each in (state, part)]
    assert kept[1].data_ptr() == kept[0][1:].data_ptr()


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (1, 1), (2, 1), (0, 4)])
def test_a_range_of_rows_that_are_not_there_is_refused(state: State, start: int, stop: int) -> None:
    with pytest.raises(CapacityError, match=f"rows 0 to 2; a range from {start} to {stop} arrived"):
        state.range(start, stop)


def test_rows_of_a_range_have_the_room_of_the_whole_and_are_told_by_their_number_in_it(
    model: Toy, state: State
) -> None:
    part = state.range(1, 3)
    feed(model, part, [[1, 2, 3, 4, 5]] * 2, [5, 3])
    with pytest.raises(CapacityError, match="row 1 may hold 5 of 6 tokens"):
        state.reserve([0, 2, 0])
    with pytest.raises(CapacityError, match="row 0 may hold 5 of 6 tokens"):
        part.reserve([2, 0])
    with pytest.raises(CapacityError, match="holds 2 rows; counts for 3"):
        part.reserve([0, 0, 0])
    part.fork([1], [0])
    assert state.lengths.tolist() == [0, 3, 3]
    part.range(1, 2).reserve(3)
    with pytest.raises(CapacityError, match="row 2 may hold 6 of 6 tokens"):
        state.reserve([0, 1, 1])
    part.reset([1])
    assert state.lengths.tolist() == [0, 3, 0]
    state.reserve([6, 3, 6])


def test_what_one_range_reserved_is_for_no_other_and_another_reserve_voids_it(model: Toy, state: State) -> None:
    one, other = state.range(0, 1), state.range(1, 3)
    one.reserve(1)
    with pytest.raises(CapacityError, match=r"call state\.reserve first"), torch.no_grad():
        model(torch.tensor([[1], [1]]), other)
    other.reserve(1)
    with pytest.raises(CapacityError, match=r"call state\.reserve first"), torch.no_grad():
        model(torch.tensor([[1]]), one)


def test_a_range_rewinds_its_own_rows_and_a_mark_is_of_its_own_range(model: Toy, state: State) -> None:
    feed(model, state, [[1], [2], [3]])
    part = state.range(1, 3)
    mark = part.mark()
    first = feed(model, part, [[4, 5], [6, 1]])
    feed(model, state, [[1], [2], [3]])
    with pytest.raises(CapacityError, match="of the rows that it was made of; one of another range"):
        state.rewind(mark)
    part.rewind(mark)
    assert state.lengths.tolist() == [2, 1, 1]
    assert torch.equal(feed(model, part, [[4, 5], [6, 1]]), first)
    part.rewind(mark)
    part.reserve(5)


def test_the_span_of_a_range_is_that_of_its_rows(model: Toy) -> None:
    state = make_state(model, rows=3, capacity=200)
    state.reserve([0, 0, 150])
    part = state.range(0, 2)
    part.reserve(1)
    assert (part.span, state.span) == (64, 192)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))])
def test_a_copy_has_ranges_and_reservations_of_its_own(model: Toy, state: State, again: Any) -> None:
    held = state.range(0, 1)
    state.reserve(1)
    other = again(state)
    assert other.range(0, state.rows) is other
    assert other.range(0, 1) is not held
    other.reset([0])
    with pytest.raises(CapacityError, match="0 are reserved"):
        other.begin(None, 1)
    assert state.begin(None, 1)[0].shape == (state.rows, 1)
    other.range(0, 1).reserve(1)
    other.range(0, 1).advance(1)
    assert (state.lengths[0], other.lengths[0]) == (0, 1)
