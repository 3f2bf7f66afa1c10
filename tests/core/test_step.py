"""`Step.attend`: what is stored, what is attended over, and under which names."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor, nn

from llm_build import Field, Step, make_state
from tests.builtin.caches import CACHES, state_of

# the package offers each function under the name of its file
masked_file = sys.modules["llm_build.attend.masked"]


class Latent(nn.Module):
    """One layer with one field for keys and values: the values are its first two numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.state_spec = [{"mixer": {"k": Field((1, 3))}}]

    def forward(self, x: Tensor, step: Step) -> Tensor:
        return step.attend(x, x, expand=lambda stored: (stored, stored[..., :2]))


@pytest.mark.parametrize("cache", CACHES)
def test_one_field_holds_both_and_expand_gives_what_is_attended_over(cache: str) -> None:
    """Rule 3 of the model contract, and 8: what is expanded was stored."""
    torch.manual_seed(0)
    x, mixer, tokens = torch.randn(2, 5, 1, 3, dtype=torch.float64), Latent(), torch.zeros(2, 5, dtype=torch.int64)
    state, steps = state_of(mixer, 2, cache, capacity=5), []
    stored = state.views[0]["mixer"].rounded({"k": x})["k"]
    full = Step.begin(tokens).attend(x, stored, expand=lambda latent: (latent, latent[..., :2]))
    assert full.shape == (2, 5, 1, 2)
    with torch.no_grad():
        for part in (slice(0, 3), slice(3, 5)):
            new = x[:, part]
            state.reserve(new.shape[1])
            steps.append(mixer(new, Step.begin(tokens[:, part], state).at(0).at("mixer")))
            state.advance(new.shape[1])
    torch.testing.assert_close(torch.cat(steps, 1), full)
    assert stored.shape == x.shape


def test_without_expand_one_field_is_keys_and_values_at_once() -> None:
    x, tokens = torch.randn(1, 4, 1, 3), torch.zeros(1, 4, dtype=torch.int64)
    step = Step.begin(tokens)
    torch.testing.assert_close(step.attend(x, x), step.attend(x, x, x))


def test_a_part_of_a_step_without_a_state_is_the_step_itself() -> None:
    step = Step.begin(torch.zeros(1, 1, dtype=torch.int64))
    assert step.at(3).at("attention") is step


class Reader(nn.Module):
    """One layer that reads a memory, and declares values before keys."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        kept = Field((1, 3), per="memory")
        self.state_spec = [{"mixer": {"v": kept, "k": kept}}]

    def forward(self, x: Tensor, step: Step) -> Tensor:
        k = step.memory
        return step.attend(x, k, -k, source="memory", expand=lambda k, v: (2 * k, v))


def test_keys_come_before_values_however_they_are_declared() -> None:
    x, memory = (torch.randn(2, length, 1, 3, dtype=torch.float64) for length in (4, 5))
    reader, tokens = Reader(), torch.zeros(2, 4, dtype=torch.int64)
    state = make_state(reader, rows=2, capacity=4, memory=5)
    state.reserve(4)
    with torch.no_grad():
        kept = reader(x, Step.begin(tokens, state, memory=memory).at(0).at("mixer"))
    torch.testing.assert_close(kept, reader(x, Step.begin(tokens, memory=memory)))


@pytest.mark.parametrize("source", ["tokens", "memory"])
def test_what_a_kernel_gives_a_query_with_nothing_to_see_is_overruled(
    monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setattr(masked_file, "scaled_dot_product_attention", lambda q, *_, **__: torch.ones_like(q))
    x, count = torch.zeros(2, 3, 1, 2), torch.tensor([0, 3])
    options = {"count": count} if source == "tokens" else {"memory": x, "memory_count": count}
    out = Step.begin(torch.zeros(2, 3, dtype=torch.int64), **options).attend(x, x, source=source)
    assert out.amax((1, 2, 3)).tolist() == out.amin((1, 2, 3)).tolist() == [0, 1]
