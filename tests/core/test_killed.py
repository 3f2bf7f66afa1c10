"""Runs that SIGKILL ends, in processes of their own, and that go on."""

from __future__ import annotations

import random
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from llm_build.run import Checkpoints
from tests.processes import Done, finished, llm_build
from tests.runs import trail
from tests.small import spec_text, write_texts
from tests.watching import write_plugin

STEPS = 24
"""Of 5 windows each, from an epoch of 52: two epochs and a bit, whose edges fall inside of steps 11 and 21."""


@pytest.mark.slow
def test_a_run_that_is_killed_three_times_has_the_losses_and_samples_of_one_that_is_not(tmp_path: Path) -> None:
    draw = random.Random(11)
    write_plugin(tmp_path)
    options = "objective = test.watched, schedule = wsd, eval_every = 4, samples = 1"
    (tmp_path / "a.llm").write_text(
        spec_text(
            write_texts(tmp_path / "texts", 10), dropout=0.3, length=f"steps = {STEPS}, batch = 5", train=options
        ),
        encoding="utf-8",
    )
    finished(trained(tmp_path, "whole"))
    whole = seen(tmp_path, "whole")
    sessions = []
    for variables in (
        {"KILL_AT_CALL": draw.randint(5, 9)},  # in the first epoch, after the first checkpoint
        {"KILL_AT_SYNC": 10 + draw.randint(2, 9)},  # of ten a save: while this process writes its second checkpoint
        {"KILL_AT_CALL": draw.randint(5, 8)},  # in the second epoch
        {},
    ):
        sessions.append(last_step(tmp_path))
        left = trained(tmp_path, "run", *(["--resume"] if sessions[-1] or len(sessions) > 1 else []), **variables)
        assert left.returncode == (-signal.SIGKILL if variables else 0), left.stderr
        if "KILL_AT_SYNC" in variables:
            assert list((tmp_path / "run" / "checkpoints").glob(".step-*.new")), "it was not killed inside of a save"
    assert trail(tmp_path / "run") == trail(tmp_path / "whole")
    assert [step for step, _ in seen_by_step(whole)] == list(range(1, STEPS + 1))
    parts = by_process(seen(tmp_path, "run"))
    assert len(parts) == 4
    steps = dict[int, str]()
    for start, part in zip(sessions, parts, strict=True):
        for step, digest in enumerate(part, start + 1):
            assert steps.setdefault(step, digest) == digest
    assert sorted(steps.items()) == seen_by_step(whole)


def trained(folder: Path, name: str, *options: str, **variables: int) -> Done:
    return llm_build(
        *[
            "train",
            folder / "a.llm",
            "--out",
            folder / name,
            "--plugin",
            folder / "watching.py",
            "--device",
            "cpu",
            "-q",
        ],
        *options,
        SEEN=folder / f"{name}.seen",
        PYTHONPATH=folder,
        **{key: str(value) for key, value in variables.items()},
    )


def last_step(folder: Path) -> int:
    names = Checkpoints(folder / "run" / "checkpoints").names
    return int(names[-1].removeprefix("step-")) if names else 0


def seen(folder: Path, name: str) -> list[tuple[str, str]]:
    """(process, hash of a batch), in the order of training."""
    lines = (folder / f"{name}.seen").read_text(encoding="utf-8").splitlines()
    return [(line.split()[0], line.split()[1]) for line in lines]


def by_process(lines: Sequence[tuple[str, str]]) -> list[list[str]]:
    parts: dict[str, list[str]] = {}
    for process, digest in lines:
        parts.setdefault(process, []).append(digest)
    return list(parts.values())


def seen_by_step(lines: Sequence[tuple[str, str]]) -> list[tuple[int, str]]:
    return list(enumerate((digest for _, digest in lines), 1))
