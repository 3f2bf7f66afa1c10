"""Every random source goes back to where it was."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from llm_build.run.nested import outlined
from llm_build.run.randomness import random_state, seeded, set_random_state

CPU = torch.device("cpu")
SOURCES: dict[str, Callable[[], float]] = {
    "torch": lambda: float(torch.rand(())),
    "torch normal": lambda: float(torch.randn(())),
    "numpy": np.random.rand,
    "numpy normal": np.random.randn,  # draws two, and keeps one for the next time
    "python": random.random,
    "python normal": lambda: random.gauss(0, 1),
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_goes_on_where_it_was(source: str) -> None:
    draw = SOURCES[source]
    draw()
    state = random_state(CPU)
    drawn = [draw() for _ in range(5)]
    set_random_state(state, CPU)
    assert [draw() for _ in range(5)] == drawn
    assert len(set(drawn)) == 5


@pytest.mark.parametrize("source", SOURCES)
def test_a_seed_decides_and_leaves_what_was_there_before(source: str) -> None:
    draw = SOURCES[source]
    before = random_state(CPU)
    following = draw()
    set_random_state(before, CPU)
    with seeded(2**63 - 1, CPU):
        drawn = draw()
    assert draw() == following
    with seeded(2**63 - 1, CPU):
        assert draw() == drawn
    with seeded(4, CPU):
        assert draw() != drawn


def test_the_state_can_be_written_down() -> None:
    _, tensors = outlined(random_state(CPU))
    assert len(tensors) == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_source_of_a_gpu_goes_on_too() -> None:
    device = torch.device("cuda")
    state = random_state(device)
    drawn = torch.rand(5, device=device)
    set_random_state(state, device)
    assert torch.equal(torch.rand(5, device=device), drawn)
