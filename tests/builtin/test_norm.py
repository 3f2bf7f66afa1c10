"""RMSNorm and LayerNorm against their equations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from llm_build import Config, Context, build
from llm_build_plugins import norm
from tests.laws import law

KINDS = [norm.rms(eps=1e-3), norm.rms(eps=1e-3, offset=True), norm.layer(eps=1e-3), norm.layer(eps=1e-3, bias=False)]


def by_hand(config: Config, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if isinstance(config, norm.layer):
        x = x - x.mean(-1, keepdim=True)
    weight = 1 + weight if getattr(config, "offset", False) is True else weight
    normed = x / (x.square().mean(-1, keepdim=True) + 1e-3).sqrt() * weight
    return normed if bias is None else normed + bias


@law
@given(
    kind=st.sampled_from(KINDS),
    rows=st.integers(1, 3),
    length=st.integers(1, 5),
    dim=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_it_is_the_equation(kind: Config, rows: int, length: int, dim: int, seed: int) -> None:
    module = build(kind, context=Context(dim=dim), dtype=torch.float64)
    torch.manual_seed(seed)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(rows, length, dim, dtype=torch.float64)
    expected = by_hand(kind, x, module.weight, getattr(module, "bias", None))
    torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_of_bfloat16_are_taken_in_float32(kind: Config) -> None:
    module = build(kind, context=Context(dim=512), dtype=torch.bfloat16)
    x = (100 + torch.randn(64, 512, generator=torch.Generator().manual_seed(0))).bfloat16()
    expected = build(kind, context=Context(dim=512))(x.float()).bfloat16()
    # the last rounding of LayerNorm may differ; a mean taken in bfloat16 would be wrong by 0.2
    tolerance = 0.01 if isinstance(kind, norm.layer) else 0
    torch.testing.assert_close(module(x), expected, rtol=tolerance, atol=tolerance / 10)


@pytest.mark.parametrize("kind", KINDS)
def test_at_the_start_it_only_norms(kind: Config) -> None:
    module = build(kind, context=Context(dim=64))
    out = module(3 * torch.randn(8, 64))
    torch.testing.assert_close(out.square().mean(-1), torch.ones(8), rtol=0.01, atol=0)
