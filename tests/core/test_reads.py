"""The bytes that a decode step reads, against counts by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from llm_build import Context, build, load
from llm_build.assemble import quantised
from llm_build.cost.reads import expected, reads, weights_read
from llm_build.resolve import resolve
from tests.processes import ROOT

DIM, VOCAB, HEADS, KV_HEADS, HEAD_DIM, HIDDEN, EXPERTS, WINDOW = 16, 40, 4, 2, 4, 24, 8, 3
SPEC = """llm 1
model = decoder {{
  dim = 16, vocab = 40, context = 64, norm = rms, head = linear {{ tie = {tie} }}, position = {position}
  layers = 2 * block {{ attention = gqa {{ heads = 4, kv_heads = 2{mask} }}, ffn = {ffn} }}
}}
generate = decode {{ quantizer = {quantizer} }}
"""
SWIGLU = "swiglu { hidden = 24 }"
ATTENTION = DIM * (HEADS + 2 * KV_HEADS) * HEAD_DIM + HEADS * HEAD_DIM * DIM
NORMS = 2 * DIM
EXPERT = 3 * DIM * HIDDEN


def spec_of(
    ffn: str = SWIGLU, tie: bool = False, mask: str = "", position: str = "none", quantizer: str = "none"
) -> Any:
    text = SPEC.format(ffn=ffn, tie=str(tie).lower(), mask=mask, position=position, quantizer=quantizer)
    return resolve(load(text), Context())


def total(rows: int = 1, dtype: torch.dtype = torch.float32, **options: Any) -> float:
    """The bytes of weights that a step of so many rows reads."""
    spec = spec_of(**options)
    model = quantised(spec, build(spec, dtype=dtype).eval())
    return sum(weights_read(model, rows).values())


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
@pytest.mark.parametrize("rows", [1, 3])
def test_of_a_dense_decoder_all_is_read_but_the_rows_of_the_embedding(dtype: torch.dtype, size: int, rows: int) -> None:
    layer = ATTENTION + EXPERT + NORMS
    assert total(rows, dtype) == size * (rows * DIM + 2 * layer + DIM + VOCAB * DIM)


def test_a_tied_matrix_is_read_once_and_whole() -> None:
    assert total(tie=True) == 4 * (2 * (ATTENTION + EXPERT + NORMS) + DIM + VOCAB * DIM)


def test_no_more_rows_of_a_table_are_read_than_it_has() -> None:
    assert total(1_000) == total(VOCAB)


def test_a_learned_position_is_looked_up_too() -> None:
    assert total(position="learned") - total() == 4 * DIM


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("rows", [1, 5])
def test_of_a_mixture_the_experts_that_the_rows_need_are_read(k: int, rows: int) -> None:
    ffn = f"moe {{ experts = 8, router = topk_softmax {{ k = {k} }}, expert = {SWIGLU}, shared = {SWIGLU} }}"
    needed = EXPERTS * (1 - (1 - k / EXPERTS) ** rows)
    more = 4 * 2 * (EXPERTS * DIM + needed * EXPERT)  # the router, and the experts beside the shared one
    assert total(rows, ffn=ffn) - total(rows) == pytest.approx(more)


def test_one_row_needs_its_share_and_many_need_all() -> None:
    assert expected(Fraction(1, 4), 1) == 0.25
    assert expected(Fraction(1, 4), 1_000) == pytest.approx(1)


def test_a_quantised_weight_is_a_byte_and_each_output_has_a_scale() -> None:
    outputs = (HEADS + 2 * KV_HEADS) * HEAD_DIM + DIM + 2 * HIDDEN + DIM  # qkv, out, gate and up, down
    matrices = ATTENTION + EXPERT + 4 * outputs
    kept = 4 * (DIM + 2 * NORMS + DIM)  # a row of the embedding, and the norms
    assert total(quantizer="int8", tie=True) == kept + 2 * matrices + VOCAB * DIM + 4 * VOCAB
    assert total(quantizer="int8 { head = false }") == kept + 2 * matrices + 4 * VOCAB * DIM


def test_of_an_encoder_nothing_is_read_while_its_memory_is() -> None:
    spec: Any = resolve(load(ROOT / "tests" / "specs" / "translation.llm"), Context())
    rows = reads(build(spec).eval(), spec.model, 3, [10], places=7)
    dim, hidden = 16, 32
    projections = 4 * dim * dim + 4 * dim  # with their biases
    cross = 2 * dim * dim + 2 * dim  # keys and values are there already
    ffn, norms = 2 * dim * hidden + hidden + dim, 3 * 2 * dim
    by_name = {each.name: each for each in rows}
    assert by_name["encoder.layers.0-1"].weights == by_name["encoder.layers.0-1"].state == 0
    assert by_name["decoder.layers.0-1"].weights == 4 * (projections + cross + ffn + norms)
    assert by_name["decoder.layers.0-1"].state == 3 * 4 * (2 * dim * 10 + 2 * dim * 7)


def test_the_state_is_what_the_lengths_need_on_the_mean() -> None:
    spec = spec_of(mask=f", mask = sliding {{ window = {WINDOW} }}")
    token = 2 * KV_HEADS * HEAD_DIM * 4
    (layers,) = (each for each in reads(build(spec), spec.model, 5, [1, 2, 8]) if each.state)
    assert (layers.name, layers.count) == ("layers.0-1", 2)
    assert layers.state == pytest.approx(5 * token * (1 + 2 + WINDOW) / 3)


def test_the_parts_sum_to_the_model() -> None:
    spec = spec_of(tie=True)
    model = build(spec).eval()
    rows = reads(model, spec.model, 2, [4])
    assert sum(each.count * each.weights for each in rows) == sum(weights_read(model, 2).values())


def test_a_matrix_that_is_read_in_pieces_counts_once() -> None:
    class Halves(nn.Module):
        """A head that takes its product in two."""

        def __init__(self, weight: Tensor) -> None:
            super().__init__()
            self.weight = nn.Parameter(weight)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x @ each.T for each in self.weight.chunk(2)], -1)

    model = build(spec_of())
    before = sum(weights_read(model).values())
    model.head = Halves(model.head.own.detach())
    assert sum(weights_read(model).values()) == before
