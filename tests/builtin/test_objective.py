"""Next-token loss: what it is, by chunks or whole; padding does not count, and logits are in float32."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from llm_build import IGNORED, Batch, Context
from llm_build_plugins import train
from tests.laws import law
from tests.small import small_model


def objective(logits_at_once: int | None = None, **options: float) -> Any:
    made = train.next_token(**options).build(Context())
    if logits_at_once is not None:
        made.logits_at_once = logits_at_once
    return made


def by_hand(logits: Tensor, targets: Tensor, smoothing: float, z_loss: float) -> tuple[Tensor, Tensor, Tensor]:
    """logits [N, V], targets [N] → the total, "nll" and "z_loss", target by target."""
    nll = wanted = squares = torch.zeros((), dtype=logits.dtype)
    counted = 0
    for scores, target in zip(logits, targets.tolist(), strict=True):
        if target == IGNORED:
            continue
        z = scores.exp().sum()
        distribution = torch.full_like(scores, smoothing / len(scores))
        distribution[target] += 1 - smoothing
        nll = nll - (scores[target].exp() / z).log()
        wanted = wanted - (distribution * (scores.exp() / z).log()).sum()
        squares, counted = squares + z.log() ** 2, counted + 1
    many = max(counted, 1)
    return wanted / many + z_loss * squares / many, nll / many, z_loss * squares / many


options = st.fixed_dictionaries(
    {"smoothing": st.sampled_from([0.0, 0.1, 0.9]), "z_loss": st.sampled_from([0.0, 1e-4, 2.0])}
)


@law
@given(options, st.integers(1, 3), st.integers(1, 9), st.integers(0, 2**16), st.data())
def test_loss_and_gradient_are_the_equations(
    drawn: dict[str, float], rows: int, new: int, seed: int, data: st.DataObject
) -> None:
    draw = torch.Generator().manual_seed(seed)
    tokens, targets = torch.randint(300, (2, rows, new), generator=draw)
    padded = data.draw(st.lists(st.booleans(), min_size=rows * new, max_size=rows * new))
    targets[torch.tensor(padded).view(rows, new)] = IGNORED
    # weights this large take log Z away from that of even logits
    ours, reference = small_model(seed=seed, scale=20), small_model(seed=seed, scale=20)
    total, parts = objective(**drawn).loss(ours, Batch(tokens=tokens, targets=targets))
    expected, nll, z_loss = by_hand(reference(tokens).flatten(0, 1), targets.flatten(), **drawn)
    torch.testing.assert_close(total, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(parts["nll"], nll, rtol=1e-10, atol=1e-12)
    assert set(parts) == ({"nll", "z_loss"} if drawn["z_loss"] else {"nll"})
    if drawn["z_loss"]:
        torch.testing.assert_close(parts["z_loss"], z_loss, rtol=1e-10, atol=1e-12)
    if not all(padded):
        total.backward()
        expected.backward()
        for one, other in zip(ours.parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-8, atol=1e-11)


@law
@given(options, st.integers(1, 3), st.integers(1, 9), st.integers(1, 12), st.integers(0, 2**16), st.booleans())
def test_chunks_give_the_same_loss_and_gradient(
    drawn: dict[str, float], rows: int, new: int, chunk: int, seed: int, pad: bool
) -> None:
    draw = torch.Generator().manual_seed(seed)
    tokens, targets = torch.randint(300, (2, rows, new), generator=draw)
    if pad:
        targets[0, -1] = IGNORED
    whole, chunked = small_model(), small_model()
    first, parts = objective(**drawn).loss(whole, Batch(tokens=tokens, targets=targets))
    second, others = objective(chunk * 300, **drawn).loss(chunked, Batch(tokens=tokens, targets=targets))
    torch.testing.assert_close(second, first)
    torch.testing.assert_close(others, parts)
    first.backward()
    second.backward()
    for one, other in zip(whole.parameters(), chunked.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad)


def test_unless_asked_for_it_is_the_plain_cross_entropy() -> None:
    model, tokens = small_model(), torch.arange(12)[None]
    total, parts = objective().loss(model, Batch(tokens=tokens, targets=tokens))
    torch.testing.assert_close(total, cross_entropy(model(tokens).flatten(0, 1), tokens.flatten()))
    assert set(parts) == {"nll"}
    assert torch.equal(parts["nll"], total)


def test_a_table_that_is_too_large_is_never_made() -> None:
    model, widths = small_model(), []
    model.head.register_forward_hook(lambda _module, inputs, _out: widths.append(len(inputs[0])))
    tokens = torch.arange(12)[None]
    objective(5 * 300 + 299, smoothing=0.1, z_loss=0.1).loss(model, Batch(tokens=tokens, targets=tokens))
    assert widths == [5, 5, 2]


@pytest.mark.parametrize("drawn", [{}, {"smoothing": 0.1, "z_loss": 0.1}])
def test_padding_alone_costs_nothing(drawn: dict[str, float]) -> None:
    loss, _ = objective(**drawn).loss(
        small_model(), Batch(tokens=torch.zeros(1, 3).long(), targets=torch.full((1, 3), IGNORED))
    )
    assert loss == 0


@pytest.mark.parametrize("drawn", [{}, {"smoothing": 0.1, "z_loss": 0.1}])
def test_logits_are_in_float32_under_autocast(drawn: dict[str, float]) -> None:
    model = small_model(dtype=torch.float32)
    tokens = torch.arange(12)[None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, parts = objective(**drawn).loss(model, Batch(tokens=tokens, targets=tokens))
    assert {each.dtype for each in (loss, *parts.values())} == {torch.float32}


class Balanced(nn.Module):
    """A model whose layers add a loss of their own."""

    vocab = 3

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 3)

    def hidden(self, tokens: Tensor, count: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        return torch.ones(*tokens.shape, 2), {"balance": torch.tensor(0.25)}


def test_what_the_layers_add_is_minimised_and_logged_by_itself() -> None:
    tokens = torch.zeros(1, 2, dtype=torch.int64)
    total, parts = objective().loss(Balanced(), Batch(tokens=tokens, targets=tokens))
    torch.testing.assert_close(total, parts["nll"] + 0.25)
    assert parts["balance"] == 0.25


def test_what_the_layers_add_stands_beside_smoothing_and_z_loss() -> None:
    model, tokens = Balanced(), torch.zeros(1, 2, dtype=torch.int64)
    plain, _ = objective(smoothing=0.5, z_loss=0.1).loss(model, Batch(tokens=tokens, targets=tokens))
    expected, *_ = by_hand(model.head(torch.ones(2, 2)), tokens.flatten(), 0.5, 0.1)
    torch.testing.assert_close(plain, expected + 0.25)


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        ({"smoothing": 1}, "at least 0 and below 1; 1 arrived"),
        ({"smoothing": -0.1}, "at least 0 and below 1; -0.1 arrived"),
        ({"z_loss": -1}, "at least 0; -1 arrived"),
    ],
)
def test_a_value_without_meaning_is_refused(drawn: dict[str, float], message: str) -> None:
    (problem,) = train.next_token(**drawn).problems(Context())
    assert message in problem.message
