"""Every cache under every kind of field, pairwise: any calls in any order give what each row gives alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_build.conformance.keepers import DIM, MEMORIES, SEQUENCES, TOKENS, Keeper
from llm_build.conformance.machine import Machine, World
from llm_build.conformance.mixing import Mixers
from llm_build.conformance.record import is_exact
from llm_build.conformance.schedules import run
from llm_build.context import Context
from tests.builtin.caches import CACHES

PLAIN = {"keys": TOKENS["keys"]}
"""Beside a sequence or a memory there are tokens."""
KINDS = {name: {name: field} for name, field in TOKENS.items()} | {
    name: {**PLAIN, name: field} for name, field in (SEQUENCES | MEMORIES).items()
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cache", CACHES)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**16), data=st.data())
def test_a_cache_keeps_a_kind_of_field(cache: str, kind: str, seed: int, data: st.DataObject) -> None:
    random = torch.Generator().manual_seed(seed)
    model, laid_out = Mixers([Keeper(KINDS[kind], seed)], torch.float64), CACHES[cache].build(Context())

    def fresh(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, DIM, generator=random, dtype=torch.float64)

    run(
        Machine(
            World(
                model=model,
                fresh=fresh,
                source=fresh if kind in MEMORIES else None,
                cache=laid_out,
                exact=is_exact(laid_out, model.state_spec, model.like),
            ),
            rows=2,
            capacity=16,
        ),
        data.draw,
    )
