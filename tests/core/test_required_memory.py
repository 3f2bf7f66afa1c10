"""`require memory(model)`: decided with the figure of `summary`, by every verb that builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from llm_build import Context, load
from llm_build.cost.unmeasured import Unmeasured
from llm_build.resolve import resolve
from llm_build.run import Compute, training_memory
from tests.core.test_training_memory import said, say
from tests.processes import QUICKSTART, ROOT
from tests.small import spec_text, write_texts


def required(tmp_path: Path, condition: str, text: str | None = None) -> Path:
    spec = tmp_path / "required.llm"
    spec.write_text(f"{text or QUICKSTART.read_text(encoding='utf-8')}\nrequire {condition}\n", encoding="utf-8")
    return spec


@pytest.mark.parametrize("verb", [("check", "--measure"), ("summary",), ("train",), ("run",)], ids=lambda verb: verb[0])
def test_a_requirement_on_memory_is_decided_by_every_verb_that_builds(
    verb: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = () if verb[0] == "check" else ("--device", "cpu")
    assert say(*verb, required(tmp_path, "memory(model) < 100Mi"), *device) == 1
    told = capsys.readouterr().err
    assert "error[E309]" in told
    assert f"{said(load(QUICKSTART)).peak:_} < 104_857_600 arrived" in told or torch.cuda.is_available()


def test_a_spec_whose_requirement_holds_is_trained(tmp_path: Path) -> None:
    text = spec_text(write_texts(tmp_path / "texts"), length="steps = 2, batch = 1")
    file = required(tmp_path, "memory(model) < 8Gi", text)
    assert say("train", file, "--device", "cpu", "-q", "--out", tmp_path / "run") == 0


def test_a_requirement_on_memory_is_listed_where_nothing_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("check", required(tmp_path, "memory(model) < 1")) == 0
    assert "this requirement is decided at build" in capsys.readouterr().err


def test_a_requirement_is_decided_for_the_precision_that_is_asked_for(tmp_path: Path) -> None:
    wide, narrow = (said(load(QUICKSTART), "cpu", each).peak for each in ("float64", "float32"))
    spec = required(tmp_path, f"memory(model) < {(wide + narrow) // 2}")
    assert say("summary", spec, "--device", "cpu", "--dtype", "float32") == 0
    assert say("summary", spec, "--device", "cpu", "--dtype", "float64") == 1


@pytest.mark.parametrize(
    ("what", "text", "says"),
    [
        ("train", None, "write memory(model)"),
        ("model.layers[0]", None, "write memory(model)"),
        ("model", (ROOT / "specs" / "gpt2.llm").read_text(encoding="utf-8"), "write train = pretrain"),
    ],
    ids=["the trainer", "a layer", "no trainer"],
)
def test_memory_of_anything_but_a_training_is_refused(
    what: str, text: str | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("check", "--measure", required(tmp_path, f"memory({what}) < 8Gi", text)) == 1
    told = capsys.readouterr().err
    assert ("error[E312]" in told, says in told) == (True, True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert say("summary", QUICKSTART, "--device", "cuda") == 1
    assert "use --device cpu" in capsys.readouterr().err


def test_a_spec_without_a_trainer_has_no_memory_of_training() -> None:
    spec: Any = resolve(load(ROOT / "specs" / "gpt2.llm"), Context())
    with pytest.raises(Unmeasured, match="no `train`"):
        training_memory(spec, Compute.choose("cpu"))
