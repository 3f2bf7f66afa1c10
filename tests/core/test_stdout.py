"""A stdout that takes no more: told in a line, and quietly left where its reader is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from llm_build.cli import main
from tests.processes import QUICKSTART, python
from tests.runs import make_run

FULL = Path("/dev/full")
NEEDS_FULL = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
TOLD = "error: stdout cannot be written: No space left on device; send it elsewhere\n"
VERBS = [["explain", "E101"], ["fmt", "-"], ["fmt", "--check", str(QUICKSTART)]]


def said(arguments: Sequence[str], stdout: Any, unbuffered: str = "") -> tuple[int, str]:
    """Exit code and stderr of `llm-build …` in a process of its own, to its very end."""
    done = subprocess.run(
        [Path(sys.executable).with_name("llm-build"), *arguments],
        input=QUICKSTART.read_bytes(),
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        check=False,
        timeout=300,
    )
    return done.returncode, done.stderr.decode()


@NEEDS_FULL
@pytest.mark.parametrize("arguments", VERBS, ids=["explain", "fmt", "check"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_told_in_a_line(arguments: Sequence[str], unbuffered: str) -> None:
    with FULL.open("wb") as full:
        assert said(arguments, full, unbuffered) == (1, TOLD)


@pytest.mark.parametrize("arguments", VERBS, ids=["explain", "fmt", "check"])
def test_a_pipe_that_nobody_reads_is_left_quietly(arguments: Sequence[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        assert said(arguments, pipe) == (1, "")


@NEEDS_FULL
def test_texts_that_cannot_be_shown_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, prompts = make_run(tmp_path / "small", {1: 1.0}), tmp_path / "prompts.txt"
    prompts.write_text("one\ntwo\n", encoding="utf-8")
    for given in (("--prompt", "one"), ("--prompts", str(prompts))):
        with FULL.open("w", encoding="utf-8") as full, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", full)
            with pytest.raises(SystemExit) as left:
                main(["generate", str(run), *given, "--max-new", "2", "--device", "cpu", "-q"])
        assert (left.value.code, capsys.readouterr().err) == (1, TOLD)


@NEEDS_FULL
def test_a_fault_of_a_file_is_not_taken_for_one_of_stdout() -> None:
    """It is one of ours, and keeps its traceback."""
    program = "import llm_build.cli as cli; cli._run = lambda _: open('/dev/full', 'w').write('a' * 99_999); cli.main()"
    with pytest.raises(AssertionError, match=r"OSError: \[Errno 28\] No space left on device"):
        python(program)
