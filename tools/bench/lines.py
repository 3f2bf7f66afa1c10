"""`llm-build check` of 1,000 lines as a process, against `check` of 40 lines, in processor time.

Run `python tools/bench/lines.py`. Both specs are sound and of the same make: blocks of seven lines, each with sizes of
its own, and a model that stacks them. Each figure is the mean of some fresh processes; five of each side, in turn.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import alternate, at_most, finish, machine, show

SHORT, LONG = 40, 1_000
BAR = 4.0
RUNS = 5
"""Processes a figure."""
TOOL = str(Path(sys.executable).with_name("llm-build"))
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def spec(lines: int) -> str:
    """A spec of so many lines."""
    head = ["llm 1", "", "param dim = 64", ""]
    tail = ["model = decoder {", "  dim     = dim", "  vocab   = 1_000", "  context = 128", "  norm    = rms"]
    blocks = (lines - len(head) - len(tail) - 2) // len(block(0))
    for index in range(blocks):
        head += block(index)
    stack = " + ".join(f"block_{index}" for index in range(blocks))
    made = [*head, *tail, f"  layers  = {stack}", "}"]
    made[1:1] = ["# a comment"] * (lines - len(made))
    return "\n".join(made) + "\n"


def block(index: int) -> list[str]:
    """Seven lines that state one kind of layer."""
    return [
        f"let block_{index} = block {{",
        "  placement = pre",
        "  norm      = rms { eps = 1e-5 }",
        "  attention = gqa { heads = 4, kv_heads = 2, bias = true, position = rope { theta = 10_000 } }",
        f"  ffn       = swiglu {{ hidden = {index + 1} * dim }}",
        "}",
        "",
    ]


def seconds(file: Path) -> float:
    """Processor seconds (user and system) of a `check`, the mean of some processes."""
    before = os.times()
    for _ in range(RUNS):
        subprocess.run(
            (TOOL, "check", file.name), cwd=file.parent, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL
        )
    after = os.times()
    return (after.children_user - before.children_user + after.children_system - before.children_system) / RUNS


def main() -> None:
    machine("lark", "attrs")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{lines}.llm" for lines in (SHORT, LONG)]
        for file, lines in zip(files, (SHORT, LONG), strict=True):
            text = spec(lines)
            assert text.count("\n") == lines
            file.write_text(text, encoding="utf-8")
            seconds(file)
        long, short = alternate(lambda: seconds(files[1]), lambda: seconds(files[0]))
    show(f"check of {LONG:_} lines, processor", long)
    show(f"check of {SHORT} lines, processor", short)
    finish(at_most(f"{LONG:_} lines / {SHORT} lines", statistics.median(long) / statistics.median(short), BAR))


if __name__ == "__main__":
    main()
