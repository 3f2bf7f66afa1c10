"""The same ten mistakes in our spec and in configs of six other tools: which are reported, where, with what help.

Each tool gets a config as its users write one, typed as far as it goes, with each mistake alone; with all ten at once;
with all but the stray comma, which many parsers do not get past; and with the seven that no parser refuses. Printed are
the mistakes that are reported when these stand in one config; of the mistakes alone, those that are reported, those
whose report names the line (their own, or that of what they stand in), and those whose report suggests what to write.
A suggestion is looked for by the words below, the same for every tool.

Run `python tools/bench/ten_mistakes.py`. The tools are installed into a folder that is deleted at the end; with
`--python PATH` they are those of another environment. Exits with 1 where one of our bars fails.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from _measure import finish, machine

HERE = Path(__file__).parent / "mistakes"
OURS = "ours.py"
OTHERS = (
    "hydra_probe.py",
    "omegaconf_probe.py",
    "gin_probe.py",
    "confection_probe.py",
    "kcl_probe.py",
    "pydantic_yaml.py",
)

REPORTED = {
    "misspelt key": r"\bkv_head\b",
    "wrong type": r"\bsteps\b|\bmany\b",
    "missing required field": r"\bcontext\b",
    "indivisible heads": r"heads must divide",
    "unknown component": r"\brsm\b",
    "undefined reference": r"\bwidht\b",
    "duplicate key": r"twice|duplicate|already exists|conflicting",
    "out-of-range number": r"\bdropout\b",
    "wrong nesting": r"\blr\b",
    "stray comma": r"got ,|found ','|`,` arrived|unable to parse value|0\.9,,",
}
"""How a report is known, whatever its words (letter case aside)."""

SUGGESTED = {
    "misspelt key": r"\bkv_heads\b",
    "wrong type": r"\b(whole number|int|integer)\b",
    "indivisible heads": r"\b1, 2, 4\b",
    "unknown component": r"\brms\b",
    "undefined reference": r"\bwidth\b",
    "duplicate key": r"\b(keep|delete|remove|override)\b",
    "out-of-range number": r"\b(below|less than|at most) 1\b|< ?1\b",
    "stray comma": r"\b(delete|remove)\b",
}
"""The eight that a tool can be expected to help with, and the words that the help must hold. The other two: what a
missing field should be, nobody knows; and what is nested wrongly may belong in several places."""
BAR_REPORTED, BAR_LINES = 10, 10


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--python", help="an interpreter that has the tools")
    given = arguments.parse_args().python
    machine()
    with tempfile.TemporaryDirectory() as folder:
        python = given or installed(Path(folder))
        probes = {OURS: probed(sys.executable, OURS)} | {each: probed(python, each) for each in OTHERS}
    table(probes)
    ours = probes[OURS]
    joint, lines, helped = scores(ours)
    finish(
        bar("reported in one run", len(joint), BAR_REPORTED),
        bar("with a line number", len(lines), BAR_LINES),
        bar("with a suggestion", len(helped), len(SUGGESTED)),
    )


def installed(folder: Path) -> str:
    """The interpreter of a new environment with the tools."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    for line in (HERE / "requirements.txt").read_text(encoding="utf-8").split():
        done = subprocess.run([python, "-m", "pip", "install", "-q", line], check=False, text=True, capture_output=True)
        if done.returncode:
            print(f"{line} could not be installed: {done.stderr.strip().splitlines()[-1]}")
    return python


def probed(python: str, probe: str) -> dict[str, Any] | str:
    """What a probe prints; where it fails, why."""
    done = subprocess.run([python, str(HERE / probe)], check=False, text=True, capture_output=True, timeout=300)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
    found: dict[str, Any] = json.loads(done.stdout)
    if found["said"]["good"]:
        return f"the good config is refused: {found['said']['good']}"
    return found


def scores(found: dict[str, Any] | str) -> tuple[list[str], list[str], list[str]]:
    """The mistakes that are reported together; of those alone, the ones with their line and with a suggestion."""
    if isinstance(found, str):
        return [], [], []
    said = found["said"]
    lines = [name for name in REPORTED if reported(name, said[name]) and names_line(said[name], found["lines"][name])]
    helped = [name for name, words in SUGGESTED.items() if re.search(words, headlines(said[name]))]
    return together(said["all"]), lines, helped


def together(said: str) -> list[str]:
    return [name for name in REPORTED if reported(name, said)]


def reported(name: str, said: str) -> bool:
    return re.search(REPORTED[name], headlines(said), re.I) is not None


def headlines(said: str) -> str:
    """A report without the lines of the config, and the whole values, that it shows: what those hold is no report."""
    lines = [each for each in said.split("\n") if not re.match(r"\s*\d+ \| |\{", each)]
    return re.sub(r"input_value=\{.*", "", "\n".join(lines))


def names_line(said: str, lines: list[int]) -> bool:
    return any(re.search(rf"(?:\bline +|:){each}\b", said) for each in lines)


def table(probes: dict[str, dict[str, Any] | str]) -> None:
    print(f"{'':<20}{'all ten':>9}{'no comma':>10}{'seven':>7}{'alone':>8}{'line':>6}{'suggestion':>12}")
    for name, found in probes.items():
        if isinstance(found, str):
            print(f"{name:<20}not run: {found}")
            continue
        said = found["said"]
        joint, lines, helped = scores(found)
        nine, seven = together(said["all but the comma"]), together(said["seven"])
        alone = [each for each in REPORTED if reported(each, said[each])]
        print(
            f"{found['version']:<20}{len(joint):>9}{len(nine):>10}{len(seven):>7}"
            f"{len(alone):>8}{len(lines):>6}{len(helped):>12}"
        )
    print("all ten, no comma, seven: in one config; alone, line, suggestion: of the mistakes alone")
    print(f"suggestions are looked for on {len(SUGGESTED)}: {', '.join(SUGGESTED)}")
    for found in probes.values():
        if not isinstance(found, str):
            missed = [each for each in REPORTED if not reported(each, found["said"][each])]
            if missed:
                print(f"{found['version']} takes without a word: {', '.join(missed)}")


def bar(name: str, count: int, least: int) -> bool:
    print(f"{name:<24}{count}, bar at least {least}: {'holds' if count >= least else 'FAILS'}")
    return count >= least


if __name__ == "__main__":
    main()
