"""Runs to trust: kills, damaged checkpoints, the time that a save stops training, what data and logging cost.

`python tools/bench/resume.py` kills small runs with SIGKILL at drawn places, at least a third of them inside a save,
goes on with `--resume` and compares the trail bit for bit; then it damages checkpoints and opens them. Both are drawn
from `--seed`. After that it measures a save at 125M parameters against a plain write of as many bytes, and a training
step against one without data and logging. What has to hold and does not makes it exit with 1. Let nothing else run
while it measures: `OMP_NUM_THREADS=2 taskset -c 0,1 python tools/bench/resume.py --only stall,overhead`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from _corruptions import corruptions
from _kills import kills
from _measure import finish, machine
from _overhead import overhead
from _stall import stall

PARTS = ("kills", "corruptions", "stall", "overhead")


def main() -> None:
    options = parsed()
    machine("torch", "safetensors")
    # kills first: a process that computed must not be forked
    parts: dict[str, Callable[[Path], bool]] = {
        "kills": lambda place: kills(options.kills, options.seed, place),
        "corruptions": lambda place: corruptions(options.corruptions, options.seed, place),
        "stall": lambda place: stall(options.device, place),
        "overhead": lambda place: overhead(options.device, place),
    }
    finish(*[done(part, options.folder) for name, part in parts.items() if name in options.only])


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="at least so many")
    parser.add_argument("--corruptions", type=int, default=200, help="so many")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")
    parser.add_argument("--only", type=lambda text: text.split(","), default=PARTS, help=f"some of {','.join(PARTS)}")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="of the timings")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; otherwise where temporary files lie")
    options = parser.parse_args()
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"--only takes {', '.join(PARTS)}; {', '.join(sorted(unknown))} arrived")
    return options


def done(part: Callable[[Path], bool], folder: Path | None) -> bool:
    """Do a part in a folder of its own, which stays for a person to look at where it does not hold."""
    place = Path(tempfile.mkdtemp(prefix="resume-", dir=folder))
    holds = part(place)
    sys.stdout.flush()
    if holds:
        shutil.rmtree(place)
    return holds


if __name__ == "__main__":
    main()
