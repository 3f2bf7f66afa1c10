"""Runs: what lies in their directory, how they are measured, and how they are opened again."""

from __future__ import annotations

import importlib.util
import json
import math
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from llm_build import DataError, GenerationError, LLMBuildError, RunError, TrainingError, load, open_run, train, write
from llm_build.corpus import Batch, HeldOut
from llm_build.run import Compute, RunDirectory, measure
from llm_build.run.held_out import token_nats
from tests.processes import python
from tests.small import small_model, small_spec, spec_text, write_texts


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("run")
    text = spec_text(write_texts(folder / "texts"), sampler="top_p { p = 0.9 }")
    return train(load(text), out=folder / "out", source=text, device="cpu", seed=3)


def test_a_run_directory_is_complete(result: Any) -> None:
    place: RunDirectory = result.run.directory
    assert {each.name for each in place.path.iterdir()} == {
        *["spec.llm", "source.llm", "versions.json", "tokenizer.json", "checkpoints"],
        *["metrics.jsonl", "samples.txt", "loss.png", ".lock"],
    }
    checkpoint = place.checkpoints.take()
    assert {each.name for each in checkpoint.path.iterdir()} == {
        *["manifest.json", "model.safetensors", "spec.llm", "tokenizer.json", "versions.json"],
        *["training.json", "training.safetensors"],
    }
    for file in (checkpoint.spec, checkpoint.tokenizer, checkpoint.versions):
        assert file.read_bytes() == (place.path / file.name).read_bytes()
    assert load(place.spec) == result.run.config
    assert place.spec.read_text(encoding="utf-8") == write(result.run.config)
    assert place.curve.read_bytes().startswith(b"\x89PNG")


def test_versions_name_the_owner_of_every_component(result: Any) -> None:
    found = json.loads(result.run.directory.versions.read_text(encoding="utf-8"))
    assert found["torch"] == torch.__version__
    assert {"model:decoder", "norm:rms", "optimizer:adamw", "cache:dense"} <= set(found["components"])
    assert {each["distribution"] for each in found["components"].values()} == {"llm-build"}
    assert all(each["version"] >= 1 and each["distribution_version"] for each in found["components"].values())


def test_an_opened_run_writes_what_the_trained_one_wrote(result: Any) -> None:
    opened = open_run(result.run.directory.path, device="cpu", seed=3)
    assert not opened.model.training
    prompts = ["one two", "three"]
    texts = opened.generate_batch(prompts)
    assert texts == result.run.generate_batch(prompts)
    assert all(text.startswith(prompt) for text, prompt in zip(texts, prompts, strict=True))
    assert opened.generate("three", seed=4) == texts[1]
    pieces = [each.text for each in opened.stream(["one two"])]
    assert "one two" + "".join(pieces) == texts[0]
    assert opened.config == result.run.config


def test_checkpoints_are_those_of_the_last_looks_and_of_the_best(tmp_path: Path) -> None:
    """At a rate that spoils the weights the first look is the best."""
    options = "schedule = none, samples = 0, eval_every = 1"
    config = small_spec(write_texts(tmp_path / "texts"), length="steps = 5, batch = 4", lr="3", train=options)
    result = train(config, out=tmp_path / "run", device="cpu")
    looks = {each["step"]: each["held_out_nats"] for each in result.run.directory.records() if "held_out_nats" in each}
    best = min(looks, key=lambda step: looks[step])
    assert best < 4
    assert result.outcome.best_step == best
    checkpoints = result.run.directory.checkpoints
    assert checkpoints.names == [f"step-{step:06}" for step in (best, 4, 5)]
    for name in checkpoints.names:
        assert checkpoints.take(name).manifest.held_out_nats == looks[checkpoints.take(name).manifest.step]
    opened = open_run(tmp_path / "run", device="cpu")
    assert all(map(torch.equal, opened.model.parameters(), result.run.model.parameters()))
    last = open_run(tmp_path / "run", checkpoint="step-000005", device="cpu")
    assert not all(map(torch.equal, last.model.parameters(), result.run.model.parameters()))


def test_the_prompt_of_the_spec_is_the_default(result: Any) -> None:
    text = spec_text("x").replace("max_new = 8", 'max_new = 8, prompt = "one"')
    opened = open_run(result.run.directory.path, device="cpu", config=load(text))
    assert opened.generate() == opened.generate("one")


def test_a_run_without_a_generator_says_so(result: Any) -> None:
    text = "\n".join(line for line in spec_text("x").splitlines() if not line.startswith("generate"))
    opened = open_run(result.run.directory.path, device="cpu", config=load(text))
    with pytest.raises(GenerationError, match="--set generate=decode"):
        opened.generate("one")


def test_weights_of_another_model_are_refused(result: Any) -> None:
    config = load(spec_text("x").replace("hidden = 32", "hidden = 24"))
    with pytest.raises(RunError, match="must hold the weights of this model: other shapes or kinds"):
        open_run(result.run.directory.path, device="cpu", config=config)


def test_a_missing_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"a run directory must exist; there is none at .*none"):
        open_run(tmp_path / "none")
    with pytest.raises(RunError, match=r"is no run directory: it has no spec\.llm"):
        open_run(tmp_path)


def test_a_run_without_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "spec.llm").write_text(spec_text("x"), encoding="utf-8")
    with pytest.raises(RunError, match="has no checkpoint: its training ended before the first was kept"):
        open_run(tmp_path)


def test_no_run_is_written_over(result: Any, tmp_path: Path) -> None:
    before = result.run.directory.checkpoints.take()
    with pytest.raises(RunError, match="a run needs a folder of its own, and there is something in"):
        train(result.run.config, out=result.run.directory.path, device="cpu")
    assert result.run.directory.checkpoints.take() == before
    assert RunDirectory.create(tmp_path / "new").path == tmp_path / "new"


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(RunError, match="there is something in"):
        RunDirectory.create(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["letter.txt"]


def test_runs_are_numbered(tmp_path: Path) -> None:
    names = [RunDirectory.next_free(tmp_path, "quick").path.name for _ in range(3)]
    assert names == ["quick-1", "quick-2", "quick-3"]


def test_nothing_is_left_where_the_data_is_at_fault(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        train(small_spec(tmp_path / "none"), out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("field", ["tokenizer", "data", "train"])
def test_what_training_needs_is_named(field: str, tmp_path: Path) -> None:
    text = "\n".join(line for line in spec_text("x").splitlines() if not line.startswith(field))
    text = text.replace("dim = 16", "dim = 16\n vocab = 300")
    with pytest.raises(TrainingError, match=f"training needs `{field}` in the spec; there is none"):
        train(load(text), out=tmp_path / "run", device="cpu")


def test_without_matplotlib_the_pip_line_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    config = small_spec(write_texts(tmp_path / "texts"), length="steps = 1, batch = 1")
    result = train(config, out=tmp_path / "run", device="cpu")
    assert result.curve.endswith('pip install "llm-build[plot]"')
    assert not result.run.directory.curve.exists()


CPU = Compute(device=torch.device("cpu"), dtype=torch.float64)


def test_bits_a_byte_count_every_token_and_byte() -> None:
    model = small_model(scale=0)  # every token is equally likely
    tokens = np.arange(40, dtype=np.uint16)
    found = measure(model, HeldOut(tokens, 16, ["x"], 100), CPU)
    assert found.tokens == 39
    assert found.whole
    assert found.nats == pytest.approx(math.log(300))
    assert found.bits == pytest.approx(39 * math.log2(300) / 100)


def test_a_part_is_measured_in_the_same_units() -> None:
    found = measure(small_model(scale=0), HeldOut(np.arange(400, dtype=np.uint16) % 300, 16, ["x"], 1_000), CPU, 64)
    assert (found.tokens, found.whole) == (64, False)
    assert found.bits == pytest.approx(399 * math.log2(300) / 1_000)


def test_measuring_leaves_the_mode_alone() -> None:
    model = small_model(dropout=0.5).train()
    held = HeldOut(np.arange(40, dtype=np.uint16), 16, ["x"], 100)
    assert measure(model, held, CPU) == measure(model, held, CPU)
    assert model.training


def test_logits_go_through_the_head_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    x = torch.arange(32).view(2, 16)
    with torch.no_grad():
        whole = token_nats(model, Batch(tokens=x, targets=x))
        monkeypatch.setattr("llm_build.run.held_out.LOGITS_AT_ONCE", 900)
        assert token_nats(model, Batch(tokens=x, targets=x)) == pytest.approx(whole)


def test_a_device_that_is_not_there_is_named() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(LLMBuildError, match="device cuda must be there; torch sees no CUDA device"):
            Compute.choose("cuda")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a glibc's")
def test_memory_that_a_step_frees_is_there_for_the_next_one() -> None:
    program = """
from pathlib import Path
import torch
from llm_build.run import keep_memory

def kept() -> bool:
    address = torch.ones(2**24).data_ptr()  # and freed at once
    areas = [line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines()]
    return any(int(start, 16) <= address < int(end, 16) for start, end in areas)

assert not kept()
keep_memory()
assert kept()
"""
    python(program)


def test_weights_stay_wide_under_narrow_products() -> None:
    compute = Compute.choose("cpu", "bfloat16")
    assert compute.weights == torch.float32
    with compute.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert Compute.choose("cpu", "float64").weights == torch.float64


def test_training_in_bfloat16_keeps_float32_weights(tmp_path: Path) -> None:
    config = small_spec(write_texts(tmp_path / "texts"), length="steps = 2, batch = 2")
    result = train(config, out=tmp_path / "run", device="cpu", dtype="bfloat16")
    assert {each.dtype for each in result.run.model.parameters()} == {torch.float32}
    assert math.isfinite(result.outcome.held_out.nats)
