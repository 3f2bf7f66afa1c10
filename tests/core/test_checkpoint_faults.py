"""Saves that are cut off: by SIGKILL at every place, and by a disk that is full. What was there is whole."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from llm_build import open_run
from llm_build.run import Checkpoint, Checkpoints
from tests.processes import start
from tests.runs import add_checkpoint
from tests.small import small_model, spec_text, write_texts

PATIENCE = 60
TRAIN = """
import os, resource, signal, sys, time
from llm_build.cli import main
from llm_build.run import Job

keep, fsync = Job.keep, os.fsync

def disturbed(job, step, *rest):
    if step == 3:
        {disturbance}
    keep(job, step, *rest)

def pause(handle, calls=[]):
    fsync(handle)
    calls.append(handle)
    if len(calls) == {calls}:
        print("paused", flush=True)
        time.sleep(600)

Job.keep = disturbed
main(["train", {spec!r}, "--out", {out!r}, "--device", "cpu", "-q"])
"""
"""Training whose save of step 3 is disturbed."""


def program(folder: Path, disturbance: str, calls: int = 0) -> str:
    options = "schedule = none, samples = 0, eval_every = 1"
    spec = folder / "small.llm"
    text = spec_text(write_texts(folder / "texts"), length="steps = 4, batch = 4", train=options)
    spec.write_text(text, encoding="utf-8")
    return TRAIN.format(disturbance=disturbance, calls=calls, spec=str(spec), out=str(folder / "run"))


def assert_whole(checkpoints: Checkpoints, names: list[str]) -> None:
    assert checkpoints.names == names
    assert checkpoints.take().path.name in names
    for name in names:
        Checkpoint.verified(checkpoints.path / name)


@pytest.mark.parametrize("room", [100, 20_000])
def test_a_full_disk_stops_the_run_and_what_was_kept_is_whole(room: int, tmp_path: Path) -> None:
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, resource.RLIM_INFINITY))"
    done = start(sys.executable, "-c", program(tmp_path, limit))
    run = tmp_path / "run"
    assert done.returncode == 1
    assert f"error: a checkpoint must be written to {run}/checkpoints/step-000003, which failed: " in done.stderr
    assert "File too large" in done.stderr
    assert done.stderr.endswith("checkpoints that are there: step-000001, step-000002\n")
    assert "Traceback" not in done.stderr
    assert_whole(Checkpoints(run / "checkpoints"), ["step-000001", "step-000002"])
    assert sorted(each.name for each in (run / "checkpoints").iterdir()) == ["step-000001", "step-000002"]
    assert open_run(run, device="cpu").generate("one", max_new=2).startswith("one")


@pytest.mark.parametrize("calls", [2, 9])
def test_a_run_that_is_killed_while_it_saves_opens(calls: int, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", program(tmp_path, "os.fsync = pause", calls)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
        finally:
            process.kill()
    assert (said, process.returncode) == ("paused\n", -signal.SIGKILL)
    checkpoints = Checkpoints(run / "checkpoints")
    assert (checkpoints.path / ".step-000003.new").is_dir()
    assert_whole(checkpoints, ["step-000001", "step-000002"])
    opened = open_run(run, device="cpu")
    again = open_run(run, checkpoint=checkpoints.take().path.name, device="cpu")
    assert all(map(torch.equal, opened.model.parameters(), again.model.parameters()))
    assert opened.generate("one", max_new=2).startswith("one")
    add_checkpoint(run, 3, 9.0, small_model())
    assert not list(checkpoints.path.glob(".*"))


def in_a_child(work: Callable[[], Any]) -> int:
    """Do it in a fork of this process → the signal that ended that, or 0."""
    child = os.fork()
    if child == 0:
        _work_and_leave(work)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _work_and_leave(work: Callable[[], Any]) -> NoReturn:
    try:
        work()
    except BaseException:  # noqa: BLE001 (a child must never go on as a second test run)
        os._exit(99)
    os._exit(0)


def die_at(event: int) -> None:
    """Let this process be killed when it opens, renames, makes or removes something for the nth time."""
    left = count(event, -1)  # its next is one step for all threads

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        if (name == "open" or name.startswith("os.")) and next(left) == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def test_wherever_a_save_is_killed_what_was_kept_is_whole(tmp_path: Path) -> None:
    writers = {name: lambda path: path.write_text("x" * 100, encoding="utf-8") for name in ("a", "b")}
    before = Checkpoints(tmp_path / "before")
    for step, loss in {1: 5.0, 2: 3.0, 3: 4.0}.items():
        before.save(step, loss, writers)
    old = ["step-000002", "step-000003"]
    assert before.names == old
    seen = set()
    for event in range(1, 1_000):
        checkpoints = Checkpoints(shutil.copytree(before.path, tmp_path / f"at-{event}"))

        def save(event: int = event, checkpoints: Checkpoints = checkpoints) -> None:
            die_at(event)
            checkpoints.save(4, 1.0, writers)  # the best, so that the old best is removed

        ended = in_a_child(save)
        assert ended in {0, signal.SIGKILL}
        names = checkpoints.names
        seen.add(tuple(names))
        assert_whole(checkpoints, names)
        assert "step-000003" in names
        assert "step-000002" in names or "step-000004" in names
        checkpoints.save(5, 0.5, writers)
        assert sorted(each.name for each in checkpoints.path.iterdir()) == checkpoints.names
        if ended == 0:
            break
    assert event > 20
    assert seen == {tuple(old), (*old, "step-000004"), ("step-000003", "step-000004")}
