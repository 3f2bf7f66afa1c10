"""Pages: who has them, who shares them, who gets a copy, and what is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import (
    CapacityError,
    Config,
    Context,
    Field,
    GenerationError,
    Sizes,
    State,
    Step,
    make_state,
    state_memory,
)
from llm_build_plugins import generate
from llm_build_plugins.generate._pages import Ledger
from tests.builtin.caches import Keeper, poison, tensors_of
from tests.laws import law
from tests.small import small_model

PAGE = 4


def state_with(keeper: Keeper, rows: int, pages: int | None = None, capacity: int = 20) -> State:
    cache: Config = generate.paged(page=PAGE, pages=pages)
    return make_state(keeper, rows, capacity, cache=cache.build(Context()))


def keep() -> Keeper:
    return Keeper({"k": Field((1,))}, {"k": Field((2,))})


def feed(keeper: Keeper, state: State, counts: list[int], value: float = 1) -> list[torch.Tensor]:
    """Append counts[b] tokens of one value to each row → what the first mixer reads of every row."""
    new = torch.full((len(counts), max(counts), 1), value, dtype=torch.float64)
    (fields, k_index), _ = keeper.feed(state, {"k": new}, counts)
    return [each[places >= 0].flatten() for each, places in zip(fields["k"], k_index, strict=True)]


def used(state: State) -> int:
    pool: Any = state.views[0]["mixer"].pool
    taken: int = pool.ledger.total - pool.ledger.free
    return taken


def cells_of(state: State) -> list[torch.Tensor]:
    """All pages [pages, page, …] of every mixer but the last, which is never read."""
    views: list[Any] = [layer["mixer"] for layer in state.views]
    return [cells[:-1] for view in views for cells in view.cells.values()]


def test_all_mixers_of_a_state_draw_on_one_pool_and_two_states_on_two() -> None:
    cache = generate.paged().build(Context())
    one, other = (make_state(keep(), 2, 20, cache=cache) for _ in range(2))
    pools = [{id(layer["mixer"].pool) for layer in state.views} for state in (one, other)]
    assert [len(each) for each in pools] == [1, 1]
    assert pools[0] != pools[1]


def test_a_row_takes_pages_as_it_grows_and_gives_them_back() -> None:
    keeper = keep()
    state, counts = state_with(keeper, 2), []
    for each in ([1, 0], [3, 0], [1, 9]):
        feed(keeper, state, each)
        counts.append(used(state))
    state.reset([1])
    assert [*counts, used(state)] == [1, 1, 5, 2]


def test_forks_share_what_they_have_read_and_the_page_that_is_written_next_is_copied() -> None:
    keeper = keep()
    state = state_with(keeper, 3)
    feed(keeper, state, [10, 0, 0], 1)
    state.fork([0, 0], [1, 2])
    assert used(state) == 3
    first = feed(keeper, state, [0, 1, 0], 2)
    assert used(state) == 4
    second = feed(keeper, state, [1, 0, 1], 3)
    assert used(state) == 5, "the last who shares a page keeps it"
    assert [each.tolist() for each in first] == [[1] * 10, [1] * 10 + [2], [1] * 10]
    assert [each.tolist() for each in second] == [[1] * 10 + [3], [1] * 10 + [2], [1] * 10 + [3]]


def test_a_fork_at_the_end_of_a_page_copies_nothing() -> None:
    keeper = keep()
    state = state_with(keeper, 2)
    feed(keeper, state, [8, 0])
    state.fork([0], [1])
    feed(keeper, state, [1, 1])
    assert used(state) == 4


def test_a_fork_shares_what_the_row_holds_and_not_what_it_might() -> None:
    keeper = keep()
    state = state_with(keeper, 2)
    mark = state.mark()
    feed(keeper, state, [17, 0])
    state.rewind(mark)
    feed(keeper, state, [2, 0])
    assert used(state) == 5, "a rewind keeps its pages"
    state.fork([0], [1])
    state.reset([0])
    assert used(state) == 1


def test_a_short_pool_refuses_and_changes_nothing() -> None:
    """Rule 9 of the model contract."""
    keeper = keep()
    state = state_with(keeper, 3, pages=4)
    feed(keeper, state, [10, 0, 0])
    state.fork([0], [1])
    before = [each.clone() for each in tensors_of(state)]
    with pytest.raises(CapacityError, match="needs 2 more pages of 4 tokens, and 1 of 4 are free: reset a row, or"):
        state.reserve([1, 1, 1])
    with pytest.raises(CapacityError, match="needs 3 more pages"):
        state.reserve([3, 3, 0])
    assert all(torch.equal(old, new) for old, new in zip(before, tensors_of(state), strict=True))
    assert (used(state), state.lengths.tolist(), state.span) == (3, [10, 10, 0], 20)
    feed(keeper, state, [2, 0, 0])
    with pytest.raises(CapacityError, match="0 of 4 are free"):
        state.reserve([0, 0, 1])
    state.reset([1])
    feed(keeper, state, [0, 0, 1])


def test_pages_that_come_back_are_zero_for_whoever_has_them_next() -> None:
    """Rule 10 of the model contract: of a reset, and of a row that becomes another."""
    keeper = keep()
    state = state_with(keeper, 3)
    feed(keeper, state, [1, 1, 1])
    poison(keeper, state, [9, 9, 0], float("nan"))
    state.reset([0])
    state.fork([2], [1])
    for cells in cells_of(state):
        assert cells.isfinite().all()
        assert cells.count_nonzero() == cells.shape[-1], "the token of row 2, which row 1 shares"


def test_rows_without_a_page_read_zeros_and_what_was_not_reserved_spoils_nobody() -> None:
    keeper = keep()
    state = state_with(keeper, 2)
    feed(keeper, state, [9, 1])
    before, view = [each.clone() for each in cells_of(state)], state.views[0]["mixer"]
    index = torch.tensor([[-1], [5]])
    step = Step(index=index, positions=index, lengths=torch.tensor([9, 6]), span=20)
    fields, _ = view.extend({"k": torch.full((2, 1, 1), float("nan"))}, step)
    assert fields["k"].isfinite().all()
    assert all(torch.equal(old, new) for old, new in zip(before, cells_of(state), strict=True))


@law
@given(st.integers(1, 4), st.integers(1, 5), st.data())
def test_every_page_is_free_or_had_and_what_is_written_is_had_once(rows: int, page: int, data: st.DataObject) -> None:
    """Enough pages for every row at full length are enough whatever is forked, so nothing is ever refused."""
    longest, row = 12, st.integers(0, rows - 1)
    ledger, lengths = Ledger(rows, rows * -(-longest // page), page), [0] * rows
    for _ in range(8):
        action = data.draw(st.sampled_from(["append", "append", "reset", "fork"]))
        if action == "append":
            counts = [data.draw(st.integers(0, longest - each)) for each in lengths]
            for old, new in ledger.reserve(lengths, counts):
                assert old != new
            for each, count in enumerate(counts):
                written = range(lengths[each] // page, -(-(lengths[each] + count) // page)) if count else range(0)
                assert all(uses(ledger)[ledger.held[each][place]] == 1 for place in written)
            lengths = [length + count for length, count in zip(lengths, counts, strict=True)]
        elif action == "reset":
            gone = data.draw(st.lists(row, unique=True))
            ledger.reset(gone)
            lengths = [0 if each in gone else length for each, length in enumerate(lengths)]
        else:
            target = data.draw(st.lists(row, unique=True, min_size=1))
            source = [data.draw(row) for _ in target]
            shared = [lengths[each] for each in source]
            freed = ledger.fork(source, target, shared)
            assert not set(freed) & set(uses(ledger))
            for each, length in zip(target, shared, strict=True):
                lengths[each] = length
        assert ledger.free == ledger.total - len(uses(ledger))
        assert all(len(held) >= -(-length // page) for held, length in zip(ledger.held, lengths, strict=True))


def uses(ledger: Ledger) -> Counter[int]:
    return Counter(page for held in ledger.held for page in held)


def test_a_pool_that_no_memory_holds_is_told_and_takes_none() -> None:
    cache = generate.paged(page=16, pages=2**40).build(Context())
    told = state_memory(small_model(), Sizes(rows=2**12, capacity=2**20, max_step=1), cache)
    assert told.state > 2**50
    with pytest.raises(GenerationError, match="must fit into the memory that is free"):
        told.refuse()
