"""Laws of a decoder with a state on every cache: caching changes the cost and nothing else.

It holds the model contract's rules 4 (chunks longer than a window), 6, 8 (where numbers are coded), 9, 10 and 12.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import CapacityError, build
from llm_build_plugins import attention, ffn, model, norm, position
from tests.builtin.caches import CACHES, caches, full_pass, poison, tensors_of
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
@given(cache=caches, case=cases(), data=st.data())
def test_any_ragged_chunking_equals_the_full_pass(cache: str, case: Case, data: st.DataObject) -> None:
    most = data.draw(st.integers(1, case.length))
    full, state, done = full_pass(case.model, case.tokens, cache), fresh(case, None, cache, most), [0] * case.rows
    while min(done) < case.length:
        # what is left out is drawn, so that the simplest schedule is of the largest chunks
        left = [min(most, case.length - each) for each in done]
        counts = [each - data.draw(st.integers(0, each)) for each in left]
        width = max(*counts, 1) + data.draw(st.integers(0, 2))
        logits = feed(case, state, chunk(case, done, counts, width), counts)
        for row, (start, count) in enumerate(zip(done, counts, strict=True)):
            torch.testing.assert_close(logits[row, :count], full[row, start : start + count], **CLOSE)
        done = [start + count for start, count in zip(done, counts, strict=True)]
        assert state.lengths.tolist() == done


@law
@given(cache=caches, case=cases())
def test_one_token_at_a_time_without_count_equals_the_full_pass(cache: str, case: Case) -> None:
    state, steps = fresh(case, None, cache, max_step=1), []
    for token in case.tokens.split(1, dim=1):
        state.reserve(1)
        with torch.inference_mode():
            steps.append(case.model(token, state))
    full = full_pass(case.model, case.tokens, cache)
    torch.testing.assert_close(torch.cat(steps, dim=1), full, **CLOSE)


@law
@given(cache=caches, case=cases(), data=st.data())
def test_a_reset_row_starts_anew_and_the_others_go_on(cache: str, case: Case, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, case.rows - 1))
    state, spoilt = (fresh(case, 2 * case.length, cache, max_step=case.length) for _ in range(2))
    everyone = [case.length] * case.rows
    feed(case, state, case.tokens, everyone)
    feed(case, spoilt, case.tokens, everyone)
    poison(case.model, spoilt, [case.length * (each == row) for each in range(case.rows)], float("nan"))
    state.reset([row])
    spoilt.reset([row])
    again = changed(case.tokens, slice(None), -1)
    clean, after = feed(case, state, again, everyone), feed(case, spoilt, again, everyone)
    torch.testing.assert_close(after, clean, rtol=0, atol=0)
    alone = full_pass(case.model, again[row : row + 1], cache)
    torch.testing.assert_close(after[row : row + 1], alone, **CLOSE)


@law
@given(cache=caches, case=cases(), data=st.data())
def test_what_lies_beyond_the_length_or_in_other_rows_never_matters(
    cache: str, case: Case, data: st.DataObject
) -> None:
    row, step = data.draw(st.integers(0, case.rows - 1)), case.length + 1
    counts = data.draw(st.lists(st.integers(0, case.length), min_size=case.rows, max_size=case.rows))
    counts[row] = max(counts[row], 1)
    clean, spoilt = (fresh(case, 2 * case.length + 2, cache, max_step=step) for _ in range(2))
    for state in (clean, spoilt):
        feed(case, state, case.tokens, counts)
    mark = spoilt.mark()
    poison(case.model, spoilt, [step] * case.rows, 1e30)
    spoilt.rewind(mark)
    poison(case.model, spoilt, [0 if each == row else step for each in range(case.rows)], float("nan"))
    last = [int(each == row) for each in range(case.rows)]
    expected, found = (feed(case, state, case.tokens[:, :1], last)[row] for state in (clean, spoilt))
    torch.testing.assert_close(found, expected, **exact(case))


@law
@given(cache=caches, case=cases(), data=st.data())
def test_overflow_is_refused_and_changes_nothing(cache: str, case: Case, data: st.DataObject) -> None:
    held = data.draw(st.integers(1, case.length))
    state = fresh(case, case.length + 1, cache)
    feed(case, state, case.tokens[:, :held], [held] * case.rows)
    before = [each.clone() for each in tensors_of(state)], state.lengths.clone(), state.span
    with pytest.raises(CapacityError, match=f"row {case.rows - 1} may hold {held} of {case.length + 1} tokens"):
        state.reserve([0] * (case.rows - 1) + [case.length + 2 - held])
    for old, new in zip(before[0], tensors_of(state), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(state.lengths, before[1])
    assert state.span == before[2]
    state.reserve([case.length + 1 - held] * case.rows)


@pytest.mark.parametrize("cache", CACHES)
def test_lengths_beyond_one_span_equal_the_full_pass(cache: str) -> None:
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
    state, steps = fresh(case, cache=cache), []
    for part in case.tokens.split([60, 3, 1, 1, 62, 3, 10], dim=1):
        steps.append(feed(case, state, part, [part.shape[1]] * 2))
    torch.testing.assert_close(torch.cat(steps, 1), full_pass(case.model, case.tokens, cache), **CLOSE)
