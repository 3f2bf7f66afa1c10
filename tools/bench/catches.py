"""How many seeded bugs the conformance kit catches, which check catches which, and how often it cries wolf.

Run `python tools/bench/catches.py [--only bugs|alarms] [--slot NAME] [--seeds 20] [--workers 2] [--full]`.

Bugs: those of tools/bench/bugs, each a small change to a right component, seeded into a process of its own that then
verifies that component. One is caught where a check fails that passes without it. Printed: caught / seeded by slot, the
checks that caught each, and for each check the bugs that it alone caught; a check that has none has to say in its
docstring why it stays. Alarms: every built-in is verified with each seed, and each check that fails is a false alarm.
Ends with 1 where fewer than 95% are caught, a check has no reason to be there, or there is a false alarm.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.machinery
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools" / "bench")]

from bugs.bug import Bug  # noqa: E402 - the folder of the bugs is reachable only now

SHARE = 0.95
STAYS = "stays"
"""Stands in the docstring of a check that is the only catcher of nothing."""


def every_bug() -> list[Bug]:
    names = sorted(each.stem for each in (ROOT / "tools" / "bench" / "bugs").glob("*.py"))
    return [
        bug for name in names if name not in ("__init__", "bug") for bug in importlib.import_module(f"bugs.{name}").BUGS
    ]


def seed_bug(bug: Bug) -> None:
    """From now on, importing the file of a bug gives it as the bug has it. Nothing of it may be imported yet."""
    place = (ROOT / bug.file).resolve()
    source = place.read_text(encoding="utf-8")
    assert source.count(bug.old) == 1, f"{bug.name}: {bug.old!r} stands {source.count(bug.old)} times in {bug.file}"
    loader: Any = importlib.machinery.SourceFileLoader
    usual = loader.get_code

    def get_code(self: Any, name: str) -> CodeType | None:
        path = self.get_filename(name)
        if Path(path).resolve() != place:
            return usual(self, name)  # type: ignore[no-any-return]
        return compile(source.replace(bug.old, bug.new), path, "exec", dont_inherit=True)

    loader.get_code = get_code


def seed_bug_below(bug: Bug, place: Path) -> None:
    """The same in every process that this one starts with its own path: Python imports sitecustomize as it begins."""
    lines = f"import sys\nsys.path[:0] = {sys.path[:2]!r}\nfrom bugs.bug import Bug\nfrom catches import seed_bug\n"
    (place / "sitecustomize.py").write_text(f"{lines}seed_bug({bug!r})\n", encoding="utf-8")
    sys.path.insert(0, str(place))


def failing(component: str, seed: int, full: bool) -> list[str]:
    """The checks that fail."""
    from llm_build.conformance import Subject, verify
    from tests.conformance.references import REFERENCES

    report = verify(Subject.of(component, REFERENCES.get(component)), seed=seed, full=full, shrink=False)
    return [each.check.id for each in report.verdicts if each.bad]


def caught(job: tuple[Bug, bool]) -> list[str]:
    bug, full = job
    seed_bug(bug)
    with tempfile.TemporaryDirectory(prefix="catches-") as place:
        seed_bug_below(bug, Path(place))
        return failing(bug.component, 0, full)


def alarms(job: tuple[str, int, bool]) -> list[str]:
    component, seed, full = job
    return failing(component, seed, full)


def table(bugs: Sequence[Bug], found: Sequence[Sequence[str]]) -> bool:
    """Print what was caught by what; says whether it is enough."""
    width = max(len(each.name) for each in bugs)
    for bug, by in zip(bugs, found, strict=True):
        print(f"{bug.component:<26}  {bug.name:<{width}}  {', '.join(by) or 'NOT CAUGHT'}")
    slots = Counter(each.slot for each in bugs)
    hits = Counter(each.slot for each, by in zip(bugs, found, strict=True) if by)
    print()
    for slot, seeded in sorted(slots.items()):
        print(f"{slot:<12} {hits[slot]:>3} / {seeded}")
    total = sum(hits.values())
    print(f"{'all':<12} {total:>3} / {len(bugs)}  {total / len(bugs):.1%} (bar {SHARE:.0%})")
    return total / len(bugs) >= SHARE


def alone(bugs: Sequence[Bug], found: Sequence[Sequence[str]]) -> bool:
    """Print, for each check, the bugs that it alone caught; says whether every check has a reason to be there."""
    from llm_build.conformance import checks

    sole: dict[str, list[str]] = defaultdict(list)
    for bug, by in zip(bugs, found, strict=True):
        # a reference sees everything, and few authors have one
        own = [each for each in by if not each.startswith("reference")] or by
        if len(own) == 1:
            sole[own[0]].append(f"{bug.component} {bug.name}")
    print()
    idle = []
    for name, each in checks().items():
        reason = (
            sole[name][0] if sole[name] else "says why it stays" if STAYS in each.text else "NOTHING, AND NO REASON"
        )
        idle += [name] if reason.startswith("NOTHING") else []
        print(f"{name:<20} {len(sole[name]):>3} alone  {reason}")
    return not idle


def built_ins() -> list[str]:
    from llm_build.registry import installed

    return [each.id for each in installed().entries() if each.owner.built_in and each.slot != "spec"]


def each_in_a_process(work: Any, jobs: Iterable[Any], workers: int) -> list[list[str]]:
    """The answers in order; every job has a fresh fork of a process that has torch and nothing of ours."""
    import hypothesis  # noqa: F401
    import torch  # noqa: F401

    with multiprocessing.get_context("fork").Pool(workers, maxtasksperchild=1) as pool:
        answers = []
        for answer in pool.imap(work, jobs, chunksize=1):
            answers.append(answer)
            print(f"\r{len(answers)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return answers


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", choices=("bugs", "alarms"))
    options.add_argument("--slot")
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--full", action="store_true")
    options.add_argument("--json", type=Path, help="write what was caught here too")
    given = options.parse_args()
    good, began = True, time.perf_counter()
    if given.only != "alarms":
        bugs = [each for each in every_bug() if given.slot in (None, each.slot)]
        found = each_in_a_process(caught, [(each, given.full) for each in bugs], given.workers)
        good &= table(bugs, found)
        good &= alone(bugs, found) or given.slot is not None
        if given.json:
            rows = [
                {"name": bug.name, "component": bug.component, "by": by} for bug, by in zip(bugs, found, strict=True)
            ]
            given.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")
    if given.only != "bugs":
        names = [
            each for each in each_in_a_process(_names, [None], 1)[0] if given.slot in (None, each.partition(":")[0])
        ]
        jobs = [(name, seed, given.full) for name in names for seed in range(given.seeds)]
        cried = {job: by for job, by in zip(jobs, each_in_a_process(alarms, jobs, given.workers), strict=True) if by}
        for (name, seed, _), by in cried.items():
            print(f"FALSE ALARM  {name}, seed {seed}: {', '.join(by)}")
        print(f"{len(cried)} false alarms over {len(names)} built-ins × {given.seeds} seeds")
        good &= not cried
    print(f"{time.perf_counter() - began:.0f} s")
    return int(not good)


def _names(_: None) -> list[str]:
    return built_ins()


if __name__ == "__main__":
    sys.exit(main())
