"""Laws that every decoder holds without a state."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import build
from tests.builtin.strategies import VOCAB, Case, cases, changed, exact
from tests.laws import law

EXACT = {"rtol": 0, "atol": 0}
CLOSE = {"rtol": 1e-10, "atol": 1e-11}


@law
@given(cases())
def test_shapes(case: Case) -> None:
    hidden, losses = case.model.hidden(case.tokens)
    assert hidden.shape == (case.rows, case.length, case.model.norm.weight.shape[0])
    assert hidden.dtype == torch.float64
    assert losses == {}
    logits = case.model(case.tokens)
    assert logits.shape == (case.rows, case.length, VOCAB)
    torch.testing.assert_close(logits, case.model.head(hidden), **EXACT)


@law
@given(cases(), st.data())
def test_a_change_never_moves_what_came_before(case: Case, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, case.length - 1))
    before, after = case.model(case.tokens), case.model(changed(case.tokens, slice(None), place))
    torch.testing.assert_close(before[:, :place], after[:, :place], **exact(case))


@law
@given(cases(), st.data())
def test_the_gradient_to_the_future_is_exactly_zero_and_to_the_present_is_not(case: Case, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, case.length - 1))
    embedded = []
    case.model.embedding.register_forward_hook(lambda _module, _inputs, out: embedded.append(out))
    # before the norms, which may map a narrow vector to a constant
    summed = case.model.hidden(case.tokens)[0][:, place]
    (gradient,) = torch.autograd.grad((summed * torch.randn_like(summed)).sum(), embedded[0])
    assert (gradient[:, place + 1 :] == 0).all()
    assert (gradient[:, place] != 0).any()


@law
@given(cases(max_length=6), st.data())
def test_rows_are_independent(case: Case, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, case.rows - 1))
    alone = case.model(case.tokens[row : row + 1])
    torch.testing.assert_close(case.model(case.tokens)[row : row + 1], alone, **CLOSE)


@law
@given(cases(), st.data())
def test_padding_never_leaks(case: Case, data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(0, case.length), min_size=case.rows, max_size=case.rows))
    padded = torch.arange(case.length) >= torch.tensor(counts)[:, None]
    count = torch.tensor(counts)
    one, other = case.model(case.tokens, count=count), case.model(changed(case.tokens, padded), count=count)
    assert one.isfinite().all()
    torch.testing.assert_close(one[~padded], other[~padded], **exact(case))
    for row, real in enumerate(counts):
        if real:
            alone = case.model(case.tokens[row : row + 1, :real])
            torch.testing.assert_close(one[row : row + 1, :real], alone, **CLOSE)


@law
@given(cases(), st.data())
def test_packed_documents_never_meet(case: Case, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, case.length))
    place = torch.arange(case.length)
    documents = (place >= cut).long().expand(case.rows, -1)
    positions = torch.where(place < cut, place, place - cut).expand(case.rows, -1)
    packed = case.model(case.tokens, documents=documents, positions=positions)
    for part in (slice(0, cut), slice(cut, None)):
        if case.tokens[:, part].numel():
            torch.testing.assert_close(packed[:, part], case.model(case.tokens[:, part]), **CLOSE)


@law
@given(cases())
def test_instances_share_nothing_and_equal_seeds_give_equal_weights(case: Case) -> None:
    one, other = (build(case.config, dtype=torch.float64, seed=5) for _ in range(2))
    assert not {each.data_ptr() for each in one.parameters()} & {each.data_ptr() for each in other.parameters()}
    for mine, yours in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, yours, **EXACT)
