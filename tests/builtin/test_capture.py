"""Decoding from CUDA graphs writes what decoding kernel by kernel writes."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from llm_build import Context, build
from llm_build_plugins import attention, ffn, generate, model, norm, position
from llm_build_plugins.generate._engine import Engine
from llm_build_plugins.generate._noise import waits
from llm_build_plugins.generate._replay import Replay
from llm_build_plugins.generate._request import Request
from tests.builtin.caches import CACHES
from tests.small import small_tokenizer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

PROMPTS = ["def add", "class Sum:\n    total = 0\n", "s"]


def decoder(**options: Any) -> Any:
    heads = attention.gqa(heads=4, kv_heads=2, mask=attention.sliding(window=40))
    block = model.block(attention=heads, ffn=options.pop("ffn", ffn.swiglu(hidden=32)))
    config = model.decoder(
        dim=16,
        vocab=300,
        context=256,
        position=position.rope(),
        norm=norm.rms(),
        layers=2 * block,
        initialiser=model.normal(std=0.5, residual=False),
    )
    return build(config, device="cuda", **options).eval()


def written(made: Any, capture: bool, max_new: int = 150, **options: Any) -> list[list[int | None]]:
    """The tokens of each prompt; so many that the length in use takes more than one step."""
    writer = generate.decode(sampler=generate.top_k(k=20), capture=capture, **options).build(Context())
    rows: list[list[int | None]] = [[] for _ in PROMPTS]
    for piece in writer.generate(made, small_tokenizer(), PROMPTS, max_new=max_new):
        rows[piece.row].append(piece.token)
    return rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_captured_step_writes_the_same(dtype: torch.dtype) -> None:
    sparse = ffn.moe(experts=4, router=ffn.topk_softmax(k=2), expert=ffn.swiglu(hidden=32))
    for kind in (ffn.swiglu(hidden=32), sparse):
        made = decoder(ffn=kind, dtype=dtype)
        assert written(made, capture=True) == written(made, capture=False)


@pytest.mark.parametrize("cache", CACHES)
def test_a_captured_step_writes_the_same_on_every_cache(cache: str) -> None:
    made = decoder()
    assert written(made, capture=True, cache=CACHES[cache]) == written(made, capture=False, cache=CACHES[cache])


class Waiting(torch.nn.Module):
    """Looks at its input on the host, which no graph can."""

    def forward(self, x: Tensor) -> Tensor:
        return x * float(x.abs().max() >= 0)


def test_a_step_that_cannot_be_captured_runs_as_it_is_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    made = decoder()
    expected = written(made, capture=False)
    made.layers[1].ffn = torch.nn.Sequential(made.layers[1].ffn, Waiting())
    with caplog.at_level(logging.WARNING, "llm_build.generate"):
        assert written(made, capture=True) == expected
    (record,) = caplog.records
    assert "runs kernel by kernel, since a step waits for the device in layers.1.ffn.1 (Waiting)" in record.message


class Synchronising(torch.nn.Module):
    """Waits for the device behind torch's back: what is recorded then is thrown away."""

    def forward(self, x: Tensor) -> Tensor:
        torch.cuda.current_stream().synchronize()
        return x


def test_after_a_recording_that_fails_it_goes_on_as_it_is_and_the_device_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = decoder()
    expected = written(made, capture=False)
    kept, made.layers[1].ffn = made.layers[1].ffn, torch.nn.Sequential(made.layers[1].ffn, Synchronising())
    with caplog.at_level(logging.WARNING, "llm_build.generate"):
        assert written(made, capture=True) == expected
    (record,) = caplog.records
    assert "since a step cannot be captured in layers.1.ffn.1 (Synchronising)" in record.message
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert torch.rand(9, device="cuda").sum() > 0
    made.layers[1].ffn = kept
    assert written(made, capture=True) == expected, "and others are recorded as before"


@pytest.mark.slow
def test_a_step_that_is_compiled_and_captured_writes_nearly_the_same() -> None:
    """Generated code rounds in another order, so that a text may part where two tokens are as likely."""
    made = decoder()
    expected, found = written(made, capture=False), written(made, capture=True, compile=True)
    for one, other in zip(expected, found, strict=True):
        assert one[:20] == other[:20]


def test_a_graph_is_made_once_for_each_length_in_use() -> None:
    made, tokenizer = decoder(), small_tokenizer()
    sampler, cache = (each.build(Context()) for each in (generate.greedy(), generate.dense()))
    engine = Engine(made, tokenizer, sampler, cache, rows=1, capacity=256, chunk=256)
    pieces = list(engine.submit(Request.of(tokenizer, 0, [5], (), 130, 0)))
    assert isinstance(engine._step, Replay)
    assert sorted(engine._step._graphs) == [64, 128, 192][: 1 + len(pieces) // 64]
    assert len(pieces) > 64


def test_one_kernel_draws_the_chances_that_torchs_operations_draw() -> None:
    seeds = torch.tensor([0, 1, -5, 2**62, -(2**63)])
    drawn = torch.tensor([0, 3, 9, 100_000, 2])
    tokens = torch.arange(5_001)
    expected = waits(seeds, drawn, tokens)
    actual = waits(seeds.cuda(), drawn.cuda(), tokens.cuda())
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-5, atol=1e-9)
