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
from llm_build_plugins.generate._noise import drawn_of
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
        torch.cuda.synchronize()  # unlike that of a stream, it is not told of
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


def test_a_graph_is_made_once_for_each_bucket_of_rows_and_of_the_length_in_use() -> None:
    made = decoder()
    engine = running(made, rows=6)
    lengths = [130, 130, 20, 20, 20]
    requests = [Request.of(engine.tokenizer, 0, [5], (), most, seed) for seed, most in enumerate(lengths)]
    for each in requests:
        engine.submit(each)
    while engine.step():
        pass
    graphs = {rows: sorted(step._graphs) for rows, step in engine._steps.items() if isinstance(step, Replay)}
    assert {2} <= set(graphs) <= {1, 2, 4, 6}
    assert all(set(spans) <= {64, 96, 128, 192} for spans in graphs.values())


@pytest.mark.parametrize("cache", CACHES)
def test_texts_that_come_move_and_leave_are_what_they_are_without_graphs(cache: str) -> None:
    """Rows join and leave between steps that are replayed, the second call with the graphs of the first."""
    made, tokenizer = decoder(), small_tokenizer()
    prompts = [PROMPTS[number % 3] + "abc"[: number % 4] for number in range(9)]
    found = []
    for capture in (True, False):
        writer = generate.decode(sampler=generate.top_k(k=20), cache=CACHES[cache], capture=capture, rows=4, chunk=8)
        module = writer.build(Context())
        for _ in range(2):
            session = module.open(made, tokenizer, capacity=200)
            streams = [session.submit(each, max_new=10 + 11 * n, seed=n) for n, each in enumerate(prompts)]
            next(streams[3])
            streams.pop(4).close()
            found.append([[piece.token for piece in each] for each in streams])
    assert found[0] == found[1] == found[2] == found[3]


def test_a_second_call_captures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made, tokenizer, captured = decoder(), small_tokenizer(), []
    writer = generate.decode(sampler=generate.greedy()).build(Context())
    usual = Replay._record

    def counted(self: Replay, *rest: Any) -> Any:
        captured.append(1)
        return usual(self, *rest)

    monkeypatch.setattr(Replay, "_record", counted)
    rows = []
    for _ in range(2):
        captured.clear()
        rows.append([each.token for each in writer.generate(made, tokenizer, PROMPTS, max_new=30)])
    assert captured == []
    assert rows[0] == rows[1]


def test_memory_comes_back_when_the_model_is_gone() -> None:
    made, tokenizer = decoder(), small_tokenizer()
    writer = generate.decode(sampler=generate.greedy()).build(Context())
    before = torch.cuda.memory_allocated()
    for max_new in (60, 120):
        list(writer.generate(made, tokenizer, PROMPTS, max_new=max_new))
        writer.close()
        assert torch.cuda.memory_allocated() <= before + 2**22


def running(made: Any, rows: int) -> Engine:
    sampler, layout = (each.build(Context()) for each in (generate.greedy(), generate.dense()))
    return Engine(made, small_tokenizer(), sampler, layout, rows=rows, capacity=256, chunk=256)


@pytest.mark.parametrize("vocab", [300, 5_001])
def test_kernels_draw_what_torchs_operations_draw(vocab: int) -> None:
    seeds = torch.tensor([0, 1, -5, 2**62, -(2**63)])
    counts = torch.tensor([0, 3, 9, 100_000, 2])
    for _ in range(20):
        scores = torch.randn(5, vocab).masked_fill(torch.rand(5, vocab) < 0.2, float("-inf"))
        expected = drawn_of(scores, seeds, counts)
        assert torch.equal(drawn_of(scores.cuda(), seeds.cuda(), counts.cuda()).cpu(), expected)
        counts += 1
