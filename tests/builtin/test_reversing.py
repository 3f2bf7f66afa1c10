"""An encoder–decoder learns to reverse words that it has never seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_build import load, open_run, train
from tests.paired import paired_text, write_pairs


@pytest.mark.slow
def test_held_out_words_come_back_reversed(tmp_path: Path) -> None:
    text = paired_text(
        write_pairs(tmp_path / "pairs", count=4_000, letters="abcdefghij"),
        dim=64,
        heads=4,
        hidden=256,
        context=8,
        # as in the 2017 Transformer: with the vectors of normal(0, 0.02) the positions would drown the letters
        scale="8",
        initialiser="normal { std = 0.125, residual = false }",
        length="steps = 300, batch = 64",
        train="optimizer = adamw { lr = 2e-3 }, schedule = warmup_cosine { warmup = 50 }",
    )
    result = train(load(text), out=tmp_path / "run", device="cpu")
    sources = list(result.sources)
    texts = open_run(tmp_path / "run", device="cpu").generate_batch(sources)
    right = sum(text == source[::-1] for source, text in zip(sources, texts, strict=True))
    assert len(sources) >= 700
    assert right > 0.95 * len(sources)
