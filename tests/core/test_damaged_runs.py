"""Run directories that are not as training left them: a message, exit code 1, no traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from llm_build import RunError, build, load, open_run
from llm_build.cli import main
from tests.runs import make_run, seal
from tests.small import spec_text

WEIGHTS, TOKENIZER, SPEC = "model.safetensors", "tokenizer.json", "spec.llm"
BEST, OTHER = "step-000002", "step-000001"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory with two checkpoints, the second of which is the better one."""
    return make_run(tmp_path / "run", {1: 3.0, 2: 2.0})


@pytest.fixture
def checkpoint(run: Path) -> Path:
    return run / "checkpoints" / BEST


def generate(run: Path, *options: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["generate", str(run), "--prompt", "def", "--max-new", "2", "--device", "cpu", *options])
    return int(left.value.code or 0)


def cut(checkpoint: Path) -> None:
    whole = (checkpoint / WEIGHTS).read_bytes()
    (checkpoint / WEIGHTS).write_bytes(whole[: len(whole) // 2])


def lose_a_weight(checkpoint: Path) -> None:
    weights = load_file(checkpoint / WEIGHTS)
    del weights["norm.weight"]
    save_file(weights, checkpoint / WEIGHTS)


def bring_a_weight(checkpoint: Path) -> None:
    save_file({**load_file(checkpoint / WEIGHTS), "extra": torch.zeros(1)}, checkpoint / WEIGHTS)


def change_a_shape(checkpoint: Path) -> None:
    save_file({**load_file(checkpoint / WEIGHTS), "norm.weight": torch.zeros(3)}, checkpoint / WEIGHTS)


def claim_too_much(checkpoint: Path) -> None:
    header = json.dumps({"norm.weight": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    (checkpoint / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header)


def pickle_the_weights(checkpoint: Path) -> None:
    torch.save({"norm.weight": torch.zeros(16)}, checkpoint / WEIGHTS)


def empty(name: str) -> Callable[[Path], None]:
    def do(checkpoint: Path) -> None:
        (checkpoint / name).write_bytes(b"")

    return do


def remove(name: str) -> Callable[[Path], None]:
    return lambda checkpoint: (checkpoint / name).unlink()


def widen_the_tokenizer(checkpoint: Path) -> None:
    tokenizer = Tokenizer.from_file(str(checkpoint / TOKENIZER))
    tokenizer.add_tokens([f"word{number}" for number in range(500)])
    tokenizer.save(str(checkpoint / TOKENIZER))


def misspell_the_spec(checkpoint: Path) -> None:
    text = (checkpoint / SPEC).read_text(encoding="utf-8")
    (checkpoint / SPEC).write_text(text.replace("decoder", "decodr"), encoding="utf-8")


def no_components(checkpoint: Path) -> None:
    (checkpoint / "versions.json").write_text('{"components": []}', encoding="utf-8")


DAMAGE = {
    "no spec": (remove(SPEC), "there is no readable file here"),
    "an empty spec": (empty(SPEC), "a spec must say something; this one is empty"),
    "a faulty spec": (misspell_the_spec, "decodr"),
    "versions that are none": (no_components, "must list the components of a run, and it does not"),
    "no versions": (remove("versions.json"), "must list the components of a run, and it does not"),
    "no weights": (remove(WEIGHTS), "weights must exist; there is no file"),
    "empty weights": (empty(WEIGHTS), "must be a safetensors file; it cannot be read"),
    "half of the weights": (cut, "must be a safetensors file; it cannot be read"),
    "weights that claim too much": (claim_too_much, "must be a safetensors file; it cannot be read"),
    "pickled weights": (pickle_the_weights, "must be a safetensors file; it cannot be read"),
    "a weight too few": (lose_a_weight, "must hold the weights of this model: it lacks norm.weight"),
    "a weight too many": (bring_a_weight, "must hold the weights of this model: the model has no extra"),
    "a weight of another shape": (
        change_a_shape,
        "other shapes or kinds: norm.weight is F32 [3], must be float32 [16]",
    ),
    "no tokenizer": (remove(TOKENIZER), "a tokenizer file must exist; there is none at"),
    "an empty tokenizer": (empty(TOKENIZER), "is not a tokenizer.json that can be read"),
    "a tokenizer with more entries than the model": (widen_the_tokenizer, "vocab must hold the tokenizer's"),
}
"""What is done to a checkpoint, and what is said of it where its manifest agrees."""


def test_a_run_that_is_whole_writes(run: Path) -> None:
    assert generate(run) == 0


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_checkpoint_that_was_never_right_is_refused(
    damage: str, run: Path, checkpoint: Path, capsys: pytest.CaptureFixture[Any]
) -> None:
    do, message = DAMAGE[damage]
    do(checkpoint)
    seal(checkpoint)
    assert generate(run) == 1
    said = capsys.readouterr()
    assert message in said.err
    assert str(run) in said.err
    assert said.out == ""


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_checkpoint_that_was_changed_is_refused_and_the_other_one_is_offered(
    damage: str, run: Path, checkpoint: Path, capsys: pytest.CaptureFixture[Any]
) -> None:
    do, _ = DAMAGE[damage]
    do(checkpoint)
    assert generate(run) == 1
    said = capsys.readouterr()
    assert f"error: {checkpoint} is damaged: " in said.err
    assert f"{OTHER} is whole: take it with --checkpoint {OTHER}, open_run(…, checkpoint=" in said.err
    assert said.out == ""
    assert generate(run, "--checkpoint", OTHER) == 0


def test_what_is_offered_is_what_is_taken(run: Path, checkpoint: Path) -> None:
    def weights(**options: str) -> list[torch.Tensor]:
        return list(open_run(run, device="cpu", **options).model.parameters())  # type: ignore[arg-type]

    best = weights()
    assert all(map(torch.equal, best, build(load(spec_text()), seed=2).parameters()))
    cut(checkpoint)
    with pytest.raises(RunError, match=f"{BEST} is damaged: {WEIGHTS} must have "):
        weights()
    assert all(map(torch.equal, weights(checkpoint=OTHER), build(load(spec_text()), seed=1).parameters()))


def test_a_run_needs_its_spec(run: Path, capsys: pytest.CaptureFixture[Any]) -> None:
    (run / SPEC).unlink()
    assert generate(run) == 1
    assert f"{run} is no run directory: it has no spec.llm" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["generate", "eval"])
def test_a_checkpoint_that_is_not_there_is_named(verb: str, run: Path, capsys: pytest.CaptureFixture[Any]) -> None:
    with pytest.raises(SystemExit) as left:
        main([verb, str(run), "--checkpoint", "step-000009"])
    assert left.value.code == 1
    assert f"error: {run} has no checkpoint step-000009; it has {OTHER}, {BEST}" in capsys.readouterr().err


def test_eval_takes_the_checkpoint_that_is_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[Any]) -> None:
    text = tmp_path / "a.txt"
    text.write_text("one two three\n" * 40, encoding="utf-8")
    found = {}
    for options in ((), ("--checkpoint", BEST), ("--checkpoint", OTHER)):
        with pytest.raises(SystemExit):
            main(["eval", str(run), "--data", f'files {{ paths = ["{text}"] }}', "--json", "-q", *options])
        found[options[-1:]] = json.loads(capsys.readouterr().out)["nats"]
    assert found[()] == found[(BEST,)] != found[(OTHER,)]


def test_a_file_is_no_run(run: Path, capsys: pytest.CaptureFixture[Any]) -> None:
    assert generate(run / SPEC) == 1
    assert "generate needs a run directory" in capsys.readouterr().err
