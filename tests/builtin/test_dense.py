"""The dense layout: where a token goes, and what a reader is told of it."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_build import Context, Field, Sizes, Step, View
from llm_build_plugins import generate
from tests.laws import law


def view(rows: int, capacity: int) -> View:
    layout = generate.dense().build(Context())
    made: View = layout.view(
        {"k": Field((1, 2))}, Sizes(rows=rows, capacity=capacity, max_step=capacity), torch.zeros(1)
    )
    return made


def step(index: torch.Tensor, lengths: torch.Tensor, span: int) -> Step:
    return Step(index=index, positions=index, lengths=lengths, span=span)


@law
@given(st.lists(st.integers(0, 4), min_size=1, max_size=3), st.integers(0, 3), st.integers(0, 99))
def test_a_cell_holds_its_token_and_is_empty_beyond_the_length(counts: list[int], spare: int, seed: int) -> None:
    rows, capacity, count = len(counts), 4 + spare, torch.tensor(counts)
    kept, place = view(rows, capacity), torch.arange(4)
    index = torch.where(place < count[:, None], place, -1)
    new = torch.randn(rows, 4, 1, 2, generator=torch.Generator().manual_seed(seed))
    fields, k_index = kept.extend({"k": new}, step(index, count, capacity))
    assert fields["k"].shape == (rows, capacity, 1, 2)
    for row, real in enumerate(counts):
        assert k_index[row].tolist() == [*range(real), *[-1] * (capacity - real)]
        assert torch.equal(fields["k"][row, :real], new[row, :real])
        assert not fields["k"][row, real:].any()


def test_only_the_span_is_read() -> None:
    fields, k_index = view(1, 1_000).extend(
        {"k": torch.ones(1, 1, 1, 2)}, step(torch.zeros(1, 1).long(), torch.tensor([1]), 64)
    )
    assert fields["k"].shape[1] == k_index.shape[1] == 64
