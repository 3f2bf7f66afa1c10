"""The mini-course spec as it ships, but narrower, on local text; how many parameters it has is counted elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.processes import ROOT, llm_build
from tests.small import write_texts

CHANGES = {
    "dim": "128",
    "model.context": "64",
    "train.epochs": "none",
    "train.steps": "4",
    "train.batch": "2",
    "train.schedule.warmup": "1",
    "train.eval_every": "100%",
    "generate.max_new": "8",
}


@pytest.mark.slow
def test_it_trains_for_a_few_steps(tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "texts")
    changes = {**CHANGES, "data": f'files {{ paths = ["{texts}/*.txt"], held_out = 20% }}'}
    sets = [word for path, value in changes.items() for word in ("--set", f"{path}={value}")]
    out = tmp_path / "run"
    result = llm_build("train", str(ROOT / "specs" / "minicourse.llm"), *sets, "--out", str(out), "--device", "cpu")
    assert result.returncode == 0, result.stderr
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [each["loss"] for each in records if "loss" in each]
    assert len(losses) == 4
    assert losses[-1] < losses[0] - 0.5
