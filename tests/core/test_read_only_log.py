"""A log that cannot be written: refused before a step is taken, or training goes on without it."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from llm_build import RunError, load, train
from llm_build.run import Job, RunDirectory
from llm_build.run.curve import draw_curve
from tests.logged import lines_of, room
from tests.small import spec_text, write_texts

NOBODY = 65_534
F_ADD_SEALS, F_SEAL_GROW = 1033, 4


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user reaches."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        Path(folder).chmod(0o777)
        patch.setenv("LLM_BUILD_CACHE", f"{folder}/cache")
        yield Path(folder)


def trained(place: Path, out: str, extra: str = "eval_every = 2", **options: Any) -> Any:
    texts = write_texts(place / "texts", 6)
    text = spec_text(texts, dropout=0.1, train=f"schedule = none, samples = 0, {extra}")
    return train(load(text), out=place / out, device="cpu", **options)


class Killed(BaseException):
    """In place of SIGKILL: nothing of ours catches it."""


@contextmanager
def at_step(step: int, act: Callable[[], Any]) -> Iterator[None]:
    """Do something before the figures of a step are logged."""
    record = Job.record

    def acting(job: Job, **figures: float) -> None:
        if figures["step"] == step and "loss" in figures:
            act()
        record(job, **figures)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "record", acting)
        yield


def kill() -> None:
    raise Killed


def half(place: Path) -> Path:
    """A run that was killed in its fourth step of six."""
    with at_step(4, kill), pytest.raises(Killed):
        trained(place, "run")
    return place / "run"


def trail(run: Path) -> list[dict[str, float]]:
    return [{name: value for name, value in line.items() if name not in {"seconds", "speed"}} for line in lines_of(run)]


def in_memory(file: Path) -> int:
    """Put a file in memory, where `seal` lets it grow no more."""
    memory = os.memfd_create(file.name, os.MFD_ALLOW_SEALING)
    os.write(memory, file.read_bytes())
    file.unlink()
    file.symlink_to(f"/proc/{os.getpid()}/fd/{memory}")
    return memory


def seal(memory: int) -> None:
    fcntl.fcntl(memory, F_ADD_SEALS, F_SEAL_GROW)


@contextmanager
def rights_of_nobody() -> Iterator[None]:
    """While it is open even root may not write to what others cannot."""
    before = os.geteuid()
    os.seteuid(NOBODY if before == 0 else before)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_log_that_may_not_be_written_stops_a_resumed_run_before_its_first_step(place: Path) -> None:
    run = half(place)
    before = (run / "metrics.jsonl").read_bytes()
    (run / "metrics.jsonl").chmod(0o444)
    log_to = Job.log_to
    steps: list[Any] = []

    def log_as_nobody(job: Job, loggers: Any) -> None:
        with rights_of_nobody():
            log_to(job, loggers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "log_to", log_as_nobody)
        patch.setattr(Job, "record", lambda job, **figures: steps.append(figures))
        with pytest.raises(RunError) as caught:
            trained(place, "run", resume=True)
    assert str(caught.value) == (
        f"the figures of each step must be written to {run}/metrics.jsonl, which failed: Permission denied. "
        "Let it be written, or leave jsonl out of `loggers`"
    )
    assert steps == []
    assert RunDirectory(run).checkpoints.names == ["step-000002"]
    assert (run / "metrics.jsonl").read_bytes() == before
    (run / "metrics.jsonl").chmod(0o644)
    trained(place, "run", resume=True)
    trained(place, "whole")
    assert trail(run) == trail(place / "whole")


def test_a_log_that_has_no_room_for_a_while_is_whole_at_the_end(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing else is written meanwhile, as the limit is one of every file."""
    with ExitStack() as limit, at_step(2, lambda: limit.enter_context(room(300))), at_step(5, limit.close):
        trained(place, "run", "eval_every = 6")
    assert [each.getMessage() for each in caplog.records if each.name == "llm_build.metrics"] == [
        f"{place}/run/metrics.jsonl cannot be written: File too large. Training goes on, and its lines wait"
    ]
    trained(place, "whole", "eval_every = 6")
    assert trail(place / "run") == trail(place / "whole")


def test_a_log_that_never_has_room_again_costs_its_last_lines_alone(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log cannot grow from the fifth step on."""
    run = half(place)
    memory = in_memory(run / "metrics.jsonl")
    with at_step(5, lambda: seal(memory)):
        result = trained(place, "run", resume=True)
    whole = trained(place, "whole")
    assert result.outcome.held_out == whole.outcome.held_out
    assert result.curve == f"loss curve: {run}/loss.png"
    assert [line["step"] for line in lines_of(run)] == [1, 2, 2, 3, 4, 4]
    os.close(memory)
    said = [each.getMessage() for each in caplog.records if each.name == "llm_build.metrics"]
    assert said == [
        f"{run}/metrics.jsonl cannot be written: {os.strerror(errno.EPERM)}. Training goes on, and its lines wait",
        f"{run}/metrics.jsonl lacks its last lines: 4 could not be written",
    ]


def test_lines_that_waited_at_a_checkpoint_are_kept_by_it(place: Path) -> None:
    """The log cannot grow; the run that goes on from the last checkpoint is given a file that can."""
    run = half(place)
    memory = in_memory(run / "metrics.jsonl")
    with at_step(3, lambda: seal(memory)), at_step(5, kill), pytest.raises(Killed):
        trained(place, "run", resume=True)
    written = (run / "metrics.jsonl").read_bytes()
    os.close(memory)
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").write_bytes(written)
    trained(place, "run", resume=True)
    trained(place, "whole")
    assert trail(run) == trail(place / "whole")


def test_samples_that_cannot_be_kept_do_not_stop_training(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = half(place)
    shutil.rmtree(run / "samples.txt", ignore_errors=True)
    (run / "samples.txt").mkdir()
    with caplog.at_level(logging.WARNING):
        RunDirectory(run).add_samples(4, ["one"])
    assert caplog.messages == [f"{run}/samples.txt lacks the samples of step 4: Is a directory"]


def test_a_line_that_was_cut_is_none(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo', encoding="utf-8")
    assert list(RunDirectory(tmp_path).records()) == [{"step": 1, "loss": 2.0}]
    assert draw_curve(RunDirectory(tmp_path)) == f"loss curve: {tmp_path}/loss.png"


def test_a_figure_that_was_not_finite_is_left_out_of_the_curve(tmp_path: Path) -> None:
    lines = '{"step": 1, "loss": 2.0}\n{"step": 2, "loss": null}\n'
    (tmp_path / "metrics.jsonl").write_text(lines, encoding="utf-8")
    assert draw_curve(RunDirectory(tmp_path)) == f"loss curve: {tmp_path}/loss.png"


def test_a_curve_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n', encoding="utf-8")
    (tmp_path / "loss.png").mkdir()
    assert draw_curve(RunDirectory(tmp_path)) == f"no loss curve: {tmp_path}/loss.png cannot be written: Is a directory"
