"""Fresh processes, as a person starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "specs" / "quickstart.llm"

Done = subprocess.CompletedProcess[str]


def llm_build(*arguments: str | Path, cwd: Path = ROOT, **environment: str | Path) -> Done:
    """`llm-build …` of this environment."""
    return start(Path(sys.executable).with_name("llm-build"), *arguments, cwd=cwd, **environment)


def python(program: str, *, cwd: Path = ROOT, **environment: str | Path) -> str:
    """What `python -c program` prints; it must not fail."""
    return finished(start(sys.executable, "-c", program, cwd=cwd, **environment))


def start(*command: str | Path, cwd: Path = ROOT, **environment: str | Path) -> Done:
    """Run a command to its end, with some variables set beside those of the tests."""
    variables = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    words = [str(each) for each in command]
    return subprocess.run(words, cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=300)


def finished(done: Done) -> str:
    """What a process printed; it must not have failed."""
    assert done.returncode == 0, f"{done.args} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout
