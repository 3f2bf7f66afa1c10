"""Runs that end early, that go on, and that are refused: what tests of resuming share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_build import RunError, Stopped, load, train
from llm_build.run import Checkpoints, Job
from tests.small import spec_text


class Killed(BaseException):
    """In place of SIGKILL: nothing of ours catches it."""


def text_of(
    texts: Path, *, length: str = "epochs = 2, batch = 5", train: str = "eval_every = 4", **options: Any
) -> str:
    return spec_text(texts, length=length, train=f"{train}, samples = 0", **{"dropout": 0.2, **options})


def trained(text: str, out: Path, **options: Any) -> Any:
    return train(load(text), out=out, **{"device": "cpu", **options})


def ended(text: str, out: Path, step: int, how: str = "killed", **options: Any) -> None:
    """Train until after a step, and be killed there or told to stop."""
    record = Job.record

    def until(job: Job, **figures: float) -> None:
        record(job, **figures)
        if figures["step"] == step and "loss" in figures:
            if how == "killed":
                raise Killed
            job.stop.asked = True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "record", until)
        with pytest.raises((Killed, Stopped)):
            trained(text, out, **options)


def done(run: Path) -> int:
    """Steps that the last checkpoint of a run has."""
    names = Checkpoints(run / "checkpoints").names
    return int(names[-1].removeprefix("step-")) if names else 0


def contents(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def refused(text: str, run: Path, **options: Any) -> str:
    """What is said of a run that cannot go on; it is left as it was."""
    before = {name: content for name, content in contents(run).items() if name != ".lock"}
    with pytest.raises(RunError) as caught:
        trained(text, run, resume=True, **options)
    assert {name: content for name, content in contents(run).items() if name != ".lock"} == before
    assert str(run) in str(caught.value)
    return str(caught.value)
