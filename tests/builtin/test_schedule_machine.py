"""Appends, verification, resets, forks and memories in any order: every row equals itself alone."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import Config, build
from tests.builtin.machine import Machine, run
from tests.builtin.strategies import VOCAB, decoders, encoder_decoders
from tests.core.toy import Toy
from tests.laws import law


def made(config: Config, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    model: torch.nn.Module = build(config, dtype=torch.float64, seed=seed).eval()
    return model


@law
@given(decoders(), st.integers(1, 3), st.integers(0, 2**16), st.data())
def test_decoders(config: Config, rows: int, seed: int, data: st.DataObject) -> None:
    run(Machine(made(config, seed), rows, VOCAB), data)


@law
@given(encoder_decoders(), st.integers(1, 3), st.integers(0, 2**16), st.data())
def test_decoders_that_read_a_memory(config: Config, rows: int, seed: int, data: st.DataObject) -> None:
    run(Machine(made(config, seed), rows, VOCAB, reads=True), data)


@law
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2**16), st.data())
def test_what_is_kept_per_sequence(dim: int, rows: int, seed: int, data: st.DataObject) -> None:
    torch.manual_seed(seed)
    run(Machine(Toy(dim), rows, vocab=7), data)
