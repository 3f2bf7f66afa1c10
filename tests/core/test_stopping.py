"""Training that is told to stop ends after its step, keeps a checkpoint, and goes on as if nothing had been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_build import Silence
from llm_build.run import Checkpoints, open_run
from llm_build.run.stopping import Stop, heeded
from tests.processes import llm_build
from tests.small import spec_text, write_texts
from tests.watching import write_plugin

PATIENCE = 60


@pytest.fixture(autouse=True)
def heed_interrupts() -> Iterator[None]:
    """A shell's background job is born with SIGINT ignored, and would hand that down."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def arguments(tmp_path: Path) -> list[str | Path]:
    """A training run that takes hours."""
    spec = tmp_path / "small.llm"
    spec.write_text(spec_text(write_texts(tmp_path / "texts"), length="steps = 1M, batch = 4"), encoding="utf-8")
    return ["train", spec, "--out", tmp_path / "run", "--device", "cpu", "-q"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_keeps_its_last_step_exits_with_130_and_can_go_on(
    how: signal.Signals, arguments: list[str | Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-m", "llm_build", *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_for_a_step(run / "metrics.jsonl", process)
            second = llm_build(*arguments, "--resume")
            process.send_signal(how)
            _, said = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    (last,) = Checkpoints(run / "checkpoints").names
    step = int(last.removeprefix("step-"))
    assert process.returncode == 130
    assert said == f"stopped after step {step} of 1000000, which is kept: go on with --resume --out {run}\n"
    assert len((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == step
    assert open_run(run, device="cpu").generate("one", max_new=2).startswith("one")
    assert second.returncode == 1
    assert f"only one process may train into a run, and process {process.pid} of " in second.stderr


def wait_for_a_step(metrics: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not (metrics.is_file() and metrics.read_text(encoding="utf-8")):
        assert process.poll() is None, "training ended before it was told to stop"
        assert time.monotonic() < end, "training never took a step"
        time.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_it_at_once(how: signal.Signals, tmp_path: Path) -> None:
    spec, seen = tmp_path / "small.llm", tmp_path / "seen"
    objective = "objective = test.watched, schedule = none, eval_every = 100%"
    spec.write_text(spec_text(write_texts(tmp_path / "texts"), train=objective), encoding="utf-8")
    arguments = ["-m", "llm_build", "train", spec, "--out", tmp_path / "run", "--device", "cpu"]
    environment = {**os.environ, "SEEN": str(seen), "WAIT_AT_CALL": "2", "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, *arguments, "--plugin", write_plugin(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            wait_for_a_step(tmp_path / "run" / "metrics.jsonl", process)
            process.send_signal(how)
            assert process.stderr is not None
            while "stopping after this step; once more to stop at once" not in (line := process.stderr.readline()):
                assert line
            assert process.poll() is None, "the first one lets the step go on"
            process.send_signal(how)
            process.wait(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == -how
    assert Checkpoints(tmp_path / "run" / "checkpoints").names == []


def test_signals_mean_what_they_meant_before() -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    stop = Stop()
    with heeded(Silence(), stop):
        signal.raise_signal(signal.SIGINT)
    assert stop.asked
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("fault", [BrokenPipeError(), RuntimeError("reentrant call inside <_io.BufferedWriter>")])
def test_it_is_heeded_where_nobody_can_be_told(fault: Exception) -> None:
    """As where a terminal was closed, or is being written to."""

    class Mute(Silence):
        def say(self, text: str) -> None:
            raise fault

    stop = Stop()
    with heeded(Mute(), stop):
        signal.raise_signal(signal.SIGTERM)
    assert stop.asked


def test_an_ignored_signal_stays_ignored() -> None:
    """As in a shell's background job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = Stop()
    with heeded(Silence(), stop):
        signal.raise_signal(signal.SIGINT)
    assert not stop.asked


def test_another_thread_trains_without_heeding_signals() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with heeded(Silence(), Stop()):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
