"""Laws of a decoder with a state: caching changes the cost and nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import CapacityError, build
from llm_build_plugins import attention, ffn, model, norm, position
from tests.builtin.strategies import VOCAB, Case, cases, changed, exact, feed, fresh, random_tokens
from tests.laws import law

CLOSE = {"rtol": 1e-10, "atol": 1e-11}


def chunk(case: Case, starts: list[int], counts: list[int], width: int) -> torch.Tensor:
    """The next counts[b] tokens of each row, first in a chunk [B, width]; what follows them is noise."""
    tokens = torch.zeros(case.rows, width, dtype=torch.int64)
    for row, (start, count) in enumerate(zip(starts, counts, strict=True)):
        tokens[row, :count] = case.tokens[row, start : start + count]
        tokens[row, count:] = row
    return tokens


@law
@given(cases(), st.data())
def test_any_ragged_chunking_equals_the_full_pass(case: Case, data: st.DataObject) -> None:
    full, state, done = case.model(case.tokens), fresh(case), [0] * case.rows
    while min(done) < case.length:
        # what is left out is drawn, so that the simplest schedule is one chunk
        counts = [case.length - each - data.draw(st.integers(0, case.length - each)) for each in done]
        width = max(*counts, 1) + data.draw(st.integers(0, 2))
        logits = feed(case, state, chunk(case, done, counts, width), counts)
        for row, (start, count) in enumerate(zip(done, counts, strict=True)):
            torch.testing.assert_close(logits[row, :count], full[row, start : start + count], **CLOSE)
        done = [start + count for start, count in zip(done, counts, strict=True)]
        assert state.lengths.tolist() == done


@law
@given(cases())
def test_one_token_at_a_time_without_count_equals_the_full_pass(case: Case) -> None:
    state, steps = fresh(case), []
    for token in case.tokens.split(1, dim=1):
        state.reserve(1)
        with torch.inference_mode():
            steps.append(case.model(token, state))
    torch.testing.assert_close(torch.cat(steps, dim=1), case.model(case.tokens), **CLOSE)


@law
@given(cases(), st.data())
def test_a_reset_row_starts_anew_and_the_others_go_on(case: Case, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, case.rows - 1))
    state, spoilt = fresh(case, 2 * case.length), fresh(case, 2 * case.length)
    everyone = [case.length] * case.rows
    feed(case, state, case.tokens, everyone)
    feed(case, spoilt, case.tokens, everyone)
    poison_row(spoilt, row)
    state.reset([row])
    spoilt.reset([row])
    again = changed(case.tokens, slice(None), -1)
    clean, after = feed(case, state, again, everyone), feed(case, spoilt, again, everyone)
    torch.testing.assert_close(after, clean, rtol=0, atol=0)
    alone = case.model(again[row : row + 1])
    torch.testing.assert_close(after[row : row + 1], alone, **CLOSE)


@law
@given(cases(), st.data())
def test_what_lies_beyond_the_length_or_in_other_rows_never_matters(case: Case, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, case.rows - 1))
    counts = data.draw(st.lists(st.integers(0, case.length), min_size=case.rows, max_size=case.rows))
    counts[row] = max(counts[row], 1)
    clean, spoilt = fresh(case, case.length + 1), fresh(case, case.length + 1)
    for state in (clean, spoilt):
        feed(case, state, case.tokens, counts)
    poison_beyond(spoilt, counts)
    for other in set(range(case.rows)) - {row}:
        poison_row(spoilt, other)
    last = [int(each == row) for each in range(case.rows)]
    expected, found = (feed(case, state, case.tokens[:, :1], last)[row] for state in (clean, spoilt))
    torch.testing.assert_close(found, expected, **exact(case))


@law
@given(cases(), st.data())
def test_overflow_is_refused_and_changes_nothing(case: Case, data: st.DataObject) -> None:
    held = data.draw(st.integers(1, case.length))
    state = fresh(case, case.length + 1)
    feed(case, state, case.tokens[:, :held], [held] * case.rows)
    before = [cells.clone() for cells in cells_of(state)], state.lengths.clone(), state.span
    with pytest.raises(CapacityError, match=f"row {case.rows - 1} may hold {held} of {case.length + 1} tokens"):
        state.reserve([0] * (case.rows - 1) + [case.length + 2 - held])
    for old, new in zip(before[0], cells_of(state), strict=True):
        assert torch.equal(old, new)
    assert torch.equal(state.lengths, before[1])
    assert state.span == before[2]
    state.reserve([case.length + 1 - held] * case.rows)


def test_lengths_beyond_one_span_equal_the_full_pass() -> None:
    config = model.decoder(
        dim=8,
        vocab=VOCAB,
        context=200,
        position=position.rope(),
        norm=norm.rms(),
        layers=2 * model.block(attention=attention.gqa(heads=2, kv_heads=1), ffn=ffn.swiglu()),
        initialiser=model.normal(std=0.7),
    )
    case = Case(config, build(config, dtype=torch.float64), random_tokens(2, 140, seed=0))
    state, steps = fresh(case), []
    for part in case.tokens.split([60, 3, 1, 1, 62, 3, 10], dim=1):
        steps.append(feed(case, state, part, [part.shape[1]] * 2))
    torch.testing.assert_close(torch.cat(steps, 1), case.model(case.tokens), **CLOSE)


def cells_of(state: object) -> list[torch.Tensor]:
    return [cells for layer in state.views for view in layer.values() for cells in view.cells.values()]


def poison_row(state: object, row: int) -> None:
    for cells in cells_of(state):
        cells[row] = float("nan")


def poison_beyond(state: object, counts: list[int]) -> None:
    for cells in cells_of(state):
        for row, count in enumerate(counts):
            cells[row, count:] = 1e30
