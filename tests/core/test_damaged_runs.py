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

from llm_build import build, load, save_weights, write
from llm_build.cli import main
from tests.small import small_tokenizer, spec_text

WEIGHTS, TOKENIZER, SPEC = "model.safetensors", "tokenizer.json", "spec.llm"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory as training leaves it, but for the training."""
    spec = load(spec_text())
    place = tmp_path / "run"
    place.mkdir()
    (place / SPEC).write_text(write(spec), encoding="utf-8")
    save_weights(build(spec), place / WEIGHTS)
    small_tokenizer().save(place / TOKENIZER)
    return place


def generate(run: Path) -> int:
    with pytest.raises(SystemExit) as left:
        main(["generate", str(run), "--prompt", "def", "--max-new", "2", "--device", "cpu"])
    return int(left.value.code or 0)


def cut(run: Path) -> None:
    whole = (run / WEIGHTS).read_bytes()
    (run / WEIGHTS).write_bytes(whole[: len(whole) // 2])


def lose_a_weight(run: Path) -> None:
    weights = load_file(run / WEIGHTS)
    del weights["norm.weight"]
    save_file(weights, run / WEIGHTS)


def bring_a_weight(run: Path) -> None:
    save_file({**load_file(run / WEIGHTS), "extra": torch.zeros(1)}, run / WEIGHTS)


def change_a_shape(run: Path) -> None:
    save_file({**load_file(run / WEIGHTS), "norm.weight": torch.zeros(3)}, run / WEIGHTS)


def claim_too_much(run: Path) -> None:
    header = json.dumps({"norm.weight": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    (run / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header)


def pickle_the_weights(run: Path) -> None:
    torch.save({"norm.weight": torch.zeros(16)}, run / WEIGHTS)


def empty(name: str) -> Callable[[Path], None]:
    def do(run: Path) -> None:
        (run / name).write_bytes(b"")

    return do


def remove(name: str) -> Callable[[Path], None]:
    return lambda run: (run / name).unlink()


def widen_the_tokenizer(run: Path) -> None:
    tokenizer = Tokenizer.from_file(str(run / TOKENIZER))
    tokenizer.add_tokens([f"word{number}" for number in range(500)])
    tokenizer.save(str(run / TOKENIZER))


def misspell_the_spec(run: Path) -> None:
    text = (run / SPEC).read_text(encoding="utf-8")
    (run / SPEC).write_text(text.replace("decoder", "decodr"), encoding="utf-8")


DAMAGE = {
    "no spec": (remove(SPEC), "is no run directory: it has no spec.llm"),
    "an empty spec": (empty(SPEC), "a spec must say something; this one is empty"),
    "a faulty spec": (misspell_the_spec, "decodr"),
    "no weights": (remove(WEIGHTS), "has no weights (model.safetensors)"),
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


def test_a_run_that_is_whole_writes(run: Path) -> None:
    assert generate(run) == 0


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_is_refused(damage: str, run: Path, capsys: pytest.CaptureFixture[Any]) -> None:
    do, message = DAMAGE[damage]
    do(run)
    assert generate(run) == 1
    said = capsys.readouterr()
    assert message in said.err
    assert str(run) in said.err
    assert said.out == ""


def test_a_file_is_no_run(run: Path, capsys: pytest.CaptureFixture[Any]) -> None:
    assert generate(run / SPEC) == 1
    assert "generate needs a run directory" in capsys.readouterr().err
