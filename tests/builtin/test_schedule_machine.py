"""Appends, verification, resets, forks and memories in any order: every row equals itself alone, on every cache.

It holds the model contract's rules 4 and 7 (what was rejected, beyond a window too), 6, 8 (where numbers are coded), 10
(rows that held NaN), 11 (memories that join) and 12 (what follows the real tokens of a row is noise).
"""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import Config, build
from tests.builtin.caches import caches
from tests.builtin.machine import Machine, run
from tests.builtin.strategies import VOCAB, decoders, encoder_decoders
from tests.core.toy import Toy
from tests.laws import law


def made(config: Config, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    model: torch.nn.Module = build(config, dtype=torch.float64, seed=seed).eval()
    return model


@law
@given(cache=caches, config=decoders(), rows=st.integers(1, 3), seed=st.integers(0, 2**16), data=st.data())
def test_decoders(cache: str, config: Config, rows: int, seed: int, data: st.DataObject) -> None:
    run(Machine(made(config, seed), rows, VOCAB, cache=cache), data)


@law
@given(cache=caches, config=encoder_decoders(), rows=st.integers(1, 3), seed=st.integers(0, 2**16), data=st.data())
def test_decoders_that_read_a_memory(cache: str, config: Config, rows: int, seed: int, data: st.DataObject) -> None:
    run(Machine(made(config, seed), rows, VOCAB, reads=True, cache=cache), data)


@law
@given(cache=caches, dim=st.integers(1, 4), rows=st.integers(1, 3), seed=st.integers(0, 2**16), data=st.data())
def test_what_is_kept_per_sequence(cache: str, dim: int, rows: int, seed: int, data: st.DataObject) -> None:
    torch.manual_seed(seed)
    run(Machine(Toy(dim), rows, vocab=7, cache=cache), data)
