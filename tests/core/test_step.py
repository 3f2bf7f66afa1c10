"""`Step.attend`: what is stored, what is attended over, and under which names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from llm_build import Field, Step, make_state


class Latent(nn.Module):
    """One layer with one field for keys and values: the values are its first two numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.state_spec = [{"mixer": {"k": Field((1, 3))}}]

    def forward(self, x: Tensor, step: Step) -> Tensor:
        return step.attend(x, x, expand=lambda stored: (stored, stored[..., :2]))


def test_one_field_holds_both_and_expand_gives_what_is_attended_over() -> None:
    torch.manual_seed(0)
    x, mixer, tokens = torch.randn(2, 5, 1, 3, dtype=torch.float64), Latent(), torch.zeros(2, 5, dtype=torch.int64)
    full = mixer(x, Step.begin(tokens))
    assert full.shape == (2, 5, 1, 2)
    state, steps = make_state(mixer, rows=2, capacity=5), []
    with torch.no_grad():
        for part in (slice(0, 3), slice(3, 5)):
            new = x[:, part]
            state.reserve(new.shape[1])
            steps.append(mixer(new, Step.begin(tokens[:, part], state).at(0).at("mixer")))
            state.advance(new.shape[1])
    torch.testing.assert_close(torch.cat(steps, 1), full)
    assert list(state.views[0]["mixer"].cells) == ["k"]


def test_without_expand_one_field_is_keys_and_values_at_once() -> None:
    x, tokens = torch.randn(1, 4, 1, 3), torch.zeros(1, 4, dtype=torch.int64)
    step = Step.begin(tokens)
    torch.testing.assert_close(step.attend(x, x), step.attend(x, x, x))


def test_a_part_of_a_step_without_a_state_is_the_step_itself() -> None:
    step = Step.begin(torch.zeros(1, 1, dtype=torch.int64))
    assert step.at(3).at("attention") is step
