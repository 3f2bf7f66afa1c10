"""Next-token loss: by chunks or whole it is the same, padding does not count, and logits are in float32."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from llm_build import IGNORED, Batch, Context
from llm_build_plugins import train
from tests.laws import law
from tests.small import small_model


def objective(logits_at_once: int | None = None) -> Any:
    made = train.next_token().build(Context())
    if logits_at_once is not None:
        made.logits_at_once = logits_at_once
    return made


@law
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 12), st.integers(0, 2**16), st.booleans())
def test_chunks_give_the_same_loss_and_gradient(rows: int, new: int, chunk: int, seed: int, pad: bool) -> None:
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randint(300, (rows, new), generator=draw)
    targets = torch.randint(300, (rows, new), generator=draw)
    if pad:
        targets[0, -1] = -100
    whole, chunked = small_model(), small_model()
    first, parts = objective().loss(whole, Batch(tokens=tokens, targets=targets))
    second, _ = objective(chunk * 300).loss(chunked, Batch(tokens=tokens, targets=targets))
    expected = cross_entropy(whole(tokens).flatten(0, 1), targets.flatten(), reduction="sum", ignore_index=-100)
    torch.testing.assert_close(first, expected / (targets != -100).sum().clamp(min=1))
    torch.testing.assert_close(second, first)
    assert torch.equal(parts["nll"], first)
    first.backward()
    second.backward()
    for one, other in zip(whole.parameters(), chunked.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad)


def test_padding_alone_costs_nothing() -> None:
    loss, _ = objective().loss(
        small_model(), Batch(tokens=torch.zeros(1, 3).long(), targets=torch.full((1, 3), IGNORED))
    )
    assert loss == 0


def test_logits_are_in_float32_under_autocast() -> None:
    model = small_model(dtype=torch.float32)
    tokens = torch.arange(12)[None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = objective().loss(model, Batch(tokens=tokens, targets=tokens))
    assert loss.dtype == torch.float32


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
