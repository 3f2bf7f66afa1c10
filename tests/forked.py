"""Processes that begin with torch imported: forks of one that has imported torch and nothing of ours.

torch takes seconds to import, in every process that builds a model. All else is as in a fresh one: what of ours is
imported, the folder, the variables, the path.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PATIENCE = 300
"""Seconds that a process may take."""
ORIGIN = """
import json, os, signal, sys
import torch, torch._dynamo
for line in sys.stdin:
    asked = json.loads(line)
    if child := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    signal.alarm(asked["patience"])
    for number, place in enumerate((os.devnull, *asked["told"])):
        os.dup2(os.open(place, os.O_RDONLY if number == 0 else os.O_WRONLY), number)
    sys.stdin = open(0)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    added = [each for each in asked["environment"].get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path[:1] = [asked["place"], *added]
    sys.argv = ["-c", *asked["arguments"]]
    exec(compile(asked["program"], "<string>", "exec"), {"__name__": "__main__"})
    break
"""


def forked(
    program: str, *arguments: str, cwd: Path, environment: dict[str, str], place: str = ""
) -> subprocess.CompletedProcess[str]:
    """`python -c program arguments…`, run to its end; `place` is where its modules are looked for first."""
    with tempfile.TemporaryDirectory() as folder:
        told = [Path(folder, name) for name in ("out", "err")]
        for each in told:
            each.touch()
        asked = {"program": program, "arguments": arguments, "cwd": str(cwd), "environment": environment}
        origin = _origin()
        assert origin.stdin is not None
        assert origin.stdout is not None
        print(
            json.dumps({**asked, "place": place, "told": [str(each) for each in told], "patience": PATIENCE}),
            file=origin.stdin,
            flush=True,
        )
        code = int(origin.stdout.readline())
        out, err = (each.read_text(encoding="utf-8") for each in told)
    return subprocess.CompletedProcess([sys.executable, "-c", program, *arguments], code, out, err)


@functools.cache
def _origin() -> subprocess.Popen[str]:
    """What every fork begins as. It ends with this process, which holds the other end of what it reads."""
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.Popen(
        [sys.executable, "-c", ORIGIN],
        env={**bare, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
