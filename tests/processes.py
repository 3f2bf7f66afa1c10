"""Processes of their own, as a person starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.forked import forked

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "specs" / "quickstart.llm"

Done = subprocess.CompletedProcess[str]

BUILD = frozenset({"run", "summary", "train", "generate", "eval", "bench", "verify"})
"""The verbs that import torch whatever they are given."""
MAIN = "from llm_build.cli import main; main()"


def llm_build(*arguments: str | Path, cwd: Path = ROOT, **environment: str | Path) -> Done:
    """`llm-build …` of this environment; where torch is needed, it is there already."""
    script = Path(sys.executable).with_name("llm-build")
    words = [str(each) for each in arguments]
    if words[0] not in BUILD:
        return start(script, *words, cwd=cwd, **environment)
    return forked(MAIN, *words, cwd=cwd, environment=_with(environment), place=str(script.parent))


def python(program: str, *, cwd: Path = ROOT, **environment: str | Path) -> str:
    """What `python -c program` prints; it must not fail."""
    return finished(start(sys.executable, "-c", program, cwd=cwd, **environment))


def with_torch(program: str, *arguments: str | Path, cwd: Path = ROOT, **environment: str | Path) -> Done:
    """`python -c program …`, which finds torch imported."""
    return forked(program, *(str(each) for each in arguments), cwd=cwd, environment=_with(environment))


def start(*command: str | Path, cwd: Path = ROOT, **environment: str | Path) -> Done:
    """Run a command to its end, with some variables set beside those of the tests."""
    words = [str(each) for each in command]
    return subprocess.run(
        words, cwd=cwd, env=_with(environment), capture_output=True, text=True, check=False, timeout=300
    )


def finished(done: Done) -> str:
    """What a process printed; it must not have failed."""
    assert done.returncode == 0, f"{done.args} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def _with(environment: dict[str, str | Path]) -> dict[str, str]:
    return {**os.environ, **{name: str(value) for name, value in environment.items()}}
