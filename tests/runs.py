"""Run directories as training leaves them, but for the training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llm_build import Context, build, load, save_weights, write
from llm_build.resolve import resolve
from llm_build.run import Checkpoints, Compute
from llm_build.run.manifest import Digest, Manifest
from llm_build.run.provenance import provenance
from tests.small import small_tokenizer, spec_text


def make_run(place: Path, losses: dict[int, float | None]) -> Path:
    """A run of the small spec with a checkpoint of each step; the weights of step n are drawn with seed n."""
    spec = load(spec_text())
    place.mkdir()
    (place / "spec.llm").write_text(write(spec), encoding="utf-8")
    for step, loss in losses.items():
        add_checkpoint(place, step, loss, build(spec, seed=step))
    return place


def add_checkpoint(run: Path, step: int, loss: float | None, model: Any) -> Path:
    """Save a checkpoint of a model of the small spec as that of a step."""
    spec = load(spec_text())
    made = provenance(resolve(spec, Context()), Compute.choose("cpu"), {})
    versions = json.dumps(made)
    writers = {
        "model.safetensors": lambda path: save_weights(model, path),
        "spec.llm": lambda path: path.write_text(write(spec), encoding="utf-8"),
        "tokenizer.json": small_tokenizer().save,
        "versions.json": lambda path: path.write_text(versions, encoding="utf-8"),
    }
    Checkpoints(run / "checkpoints").save(step, loss, writers)
    return run / "checkpoints" / f"step-{step:06}"


def trail(run: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl, but for what a clock says."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name not in {"seconds", "speed"}} for line in lines]


def seal(checkpoint: Path) -> None:
    """Give a checkpoint whose files were changed a manifest that is true, so that what comes behind it is reached."""
    before = Manifest.read(checkpoint)
    files = {each.name: Digest.of(each) for each in checkpoint.iterdir() if each.name != "manifest.json"}
    after = Manifest(step=before.step, held_out_nats=before.held_out_nats, files=files)
    (checkpoint / "manifest.json").write_text(after.text, encoding="utf-8")
