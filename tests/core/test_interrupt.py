"""Training that is interrupted leaves a run that can write."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_build import open_run
from tests.small import spec_text, write_texts

PATIENCE = 60


@pytest.fixture(autouse=True)
def heed_interrupts() -> Iterator[None]:
    """A shell's background job is born with SIGINT ignored, and would hand that down."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_its_weights_and_exits_with_130(how: signal.Signals, tmp_path: Path) -> None:
    spec = tmp_path / "small.llm"
    spec.write_text(spec_text(write_texts(tmp_path / "texts"), length="steps = 1M, batch = 4"), encoding="utf-8")
    run = tmp_path / "run"
    arguments = [sys.executable, "-m", "llm_build", "train", spec, "--out", run, "--device", "cpu", "-q"]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for_a_step(run / "metrics.jsonl", process)
            process.send_signal(how)
            _, said = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert (process.returncode, "interrupted" in said) == (130, True)
    assert open_run(run, device="cpu").generate("one", max_new=2).startswith("one")


def wait_for_a_step(metrics: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not (metrics.is_file() and metrics.read_text(encoding="utf-8")):
        assert process.poll() is None, "training ended before it was interrupted"
        assert time.monotonic() < end, "training never took a step"
        time.sleep(0.05)
