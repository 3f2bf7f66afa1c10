"""Runs that go on where something else has changed: the machine, a plugin, a file that moved, or their own record."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from llm_build import RunError, Silence
from llm_build.run import Job, RunDirectory
from tests.resuming import ended, refused, text_of, trained
from tests.runs import seal
from tests.small import write_texts

LAST = "step-000008"


pytestmark = pytest.mark.usefixtures("no_curve")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts"), 6)


@pytest.fixture
def half(texts: Path, tmp_path: Path) -> Path:
    """A run that was killed after step 10; its last checkpoint is of step 8."""
    ended(text_of(texts), tmp_path / "run", 10)
    return tmp_path / "run"


class Ear(Silence):
    """Remembers what is said."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def say(self, text: str) -> None:
        self.texts.append(text)


def rewrite(run: Path, change: Callable[[Any], None]) -> None:
    """Change what the last checkpoint says of how it was made."""
    versions = run / "checkpoints" / LAST / "versions.json"
    made = json.loads(versions.read_text(encoding="utf-8"))
    change(made)
    versions.write_text(json.dumps(made), encoding="utf-8")
    seal(versions.parent)


def test_the_device_is_that_of_the_run(half: Path, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run on a CPU does not move to a GPU that is there now, where its losses would be others."""
    monkeypatch.setattr("llm_build.run.compute._best", lambda: "meta")
    assert trained(text_of(texts), half, resume=True, device="auto").run.compute.device.type == "cpu"


def test_another_device_is_warned_of(half: Path, texts: Path, caplog: pytest.LogCaptureFixture) -> None:
    rewrite(half, lambda made: made["compute"].update(device="cuda", threads=1000))
    with caplog.at_level(logging.WARNING):
        trained(text_of(texts), half, resume=True)
    (said,) = (each.message for each in caplog.records if each.name == "llm_build.resume")
    assert said.endswith("an uninterrupted run: it was trained on cuda, and goes on on cpu")


def test_what_was_chosen_before_may_be_said_again(half: Path, texts: Path) -> None:
    assert trained(text_of(texts), half, resume=True, seed=0, dtype="float32").outcome.steps == 12


def test_a_plugin_that_is_missing_is_named(half: Path, texts: Path) -> None:
    brought = {"version": 1, "distribution": "acme-norms", "distribution_version": "2.0"}
    rewrite(half, lambda made: made["components"].update({"norm:acme.gone": brought}))
    said = refused(text_of(texts), half)
    assert "needs components that are not here: norm:acme.gone" in said
    assert 'pip install "acme-norms==2.0"' in said


def test_a_tokenizer_file_may_lie_elsewhere(half: Path, texts: Path, tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        shutil.copy(half / "tokenizer.json", tmp_path / name)
    text = text_of(texts).replace("bpe { vocab = 300 }", f'pretrained {{ file = "{tmp_path}/one.json" }}')
    text = text.replace("dim = 16", "dim = 16, vocab = 300")
    ended(text, tmp_path / "other", 10)
    (tmp_path / "one.json").unlink()
    assert trained(text.replace("one.json", "two.json"), tmp_path / "other", resume=True).outcome.steps == 12


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made.update(data={}),
        lambda made: made["data"]["training"].update(documents="many", sha256=7),
        lambda made: made["data"]["held out"].update(more=1),
        lambda made: made["data"].update(training=None),
        lambda made: made.update(tokenizer_files=[]),
        lambda made: made.update(init={}),
        lambda made: made.update(torch=None),
        lambda made: made["compute"].update(device="abacus"),
        lambda made: made["compute"].update(dtype="uint8"),
        lambda made: made["compute"].update(seed=-1),
        lambda made: made["compute"].update(seed=2**63),
        lambda made: made["compute"].update(seed="0"),
        lambda made: made["compute"].pop("threads"),
    ],
)
def test_a_record_of_a_stranger_is_refused(half: Path, texts: Path, change: Callable[[Any], None]) -> None:
    rewrite(half, change)
    assert "versions.json must say how the run was made, and it does not" in refused(text_of(texts), half)


def test_a_checkpoint_says_how_it_was_made_itself(half: Path, texts: Path) -> None:
    """Not how the one was that training went on from."""
    rewrite(half, lambda made: made.update(torch="2.10.1"))
    trained(text_of(texts), half, resume=True)
    made = RunDirectory.existing(half).checkpoints.take("step-000012").versions
    assert json.loads(made.read_text(encoding="utf-8"))["torch"] == torch.__version__


def test_checkpoints_that_will_be_made_again_are_put_aside_aloud(half: Path, texts: Path) -> None:
    heard = Ear()
    trained(text_of(texts), half, resume=True, checkpoint="step-000004", progress=heard)
    assert heard.texts[0] == "step-000008 lies beyond step-000004: it is kept as step-000008.aside1"


def test_a_run_without_a_checkpoint_says_that_it_begins_anew(texts: Path, tmp_path: Path) -> None:
    heard = Ear()
    ended(text_of(texts), tmp_path / "run", 2)
    trained(text_of(texts), tmp_path / "run", resume=True, progress=heard)
    assert f"{tmp_path / 'run'} has no checkpoint to go on from: it begins anew" in heard.texts


def test_a_run_that_cannot_be_written_to_is_refused(half: Path, texts: Path) -> None:
    (half / ".lock").unlink()
    (half / ".lock").mkdir()
    with pytest.raises(RunError, match=r"trained where it can be written; .*\.lock: Is a directory"):
        trained(text_of(texts), half, resume=True)


def test_what_is_said_to_be_kept_is_kept_whenever_the_signal_comes(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here between two looks at whether it came."""
    answers = iter([False, *[True] * 100])
    monkeypatch.setattr(Job, "stopping", property(lambda job: next(answers)))
    with pytest.raises(KeyboardInterrupt) as caught:
        trained(text_of(texts), tmp_path / "run")
    (kept,) = RunDirectory.existing(tmp_path / "run").checkpoints.names
    assert f"stopped after step {int(kept.removeprefix('step-'))} of 12, which is kept" in str(caught.value)
