"""Checkpoints that are damaged, each opened in one of the three ways: refused by name, with a whole one offered."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import torch

from _kills import Kill
from _small import Bench, Trail
from _spoils import PER_CHECKPOINT, PER_FILE, Spoil, Target, another_step
from llm_build import RunError, open_run, train
from llm_build.run import Job, RunDirectory

WAYS = ("open_run", "--resume", "--init")
STOPPED = 35
"""The step at which the run that is damaged was killed; its checkpoints are the best and those of 28 and 32."""


@attrs.frozen
class Damaged:
    """What was done to a run. `names` are the checkpoints that no longer are what they were."""

    what: str
    names: frozenset[str]


Digests = dict[str, str]
"""The SHA-256 of each of a model's weights, by name."""


@attrs.frozen
class Taken:
    """A checkpoint that is opened, in one of the ways; unnamed where that takes the best or the last of its own."""

    name: str
    way: str
    stated: bool

    def open(self, bench: Bench, run: Path) -> Digests:
        """The weights that it gave. Raises `RunError` where it is refused."""
        stated, new = self.name if self.stated else None, Path(f"{run}-from")
        if self.way == "open_run":
            return _digests(open_run(run, checkpoint=stated, device="cpu").model)
        with started() as weights:
            if self.way == "--init":
                place = run / "checkpoints" / self.name if self.stated else run
                train(bench.config(), out=new, init=place, device="cpu")
            else:
                train(bench.config(), out=run, resume=True, checkpoint=stated, device="cpu")
        return weights


@contextmanager
def started() -> Iterator[Digests]:
    """The weights that training begins with meanwhile."""
    found: Digests = {}
    log_to = Job.log_to

    def first(job: Job, loggers: Any) -> None:
        found.update(_digests(job.model))
        log_to(job, loggers)

    Job.log_to = first  # type: ignore[method-assign]
    try:
        yield found
    finally:
        Job.log_to = log_to  # type: ignore[method-assign]


@attrs.define
class Tally:
    """What came of the corruptions; `harmless` left every checkpoint as it was, and had to change nothing."""

    corrupted: int = 0
    refused: int = 0
    harmless: int = 0
    unchanged: int = 0
    kinds: Counter[str] = attrs.field(factory=Counter)
    faults: list[str] = attrs.field(factory=list)

    def count(self, spoil: Spoil, damaged: Damaged, fault: str | None) -> None:
        if damaged.names:
            self.corrupted += 1
            self.refused += fault is None
            self.kinds[spoil.__name__] += 1
        else:
            self.harmless += 1
            self.unchanged += fault is None

    def show(self) -> None:
        print(", ".join(f"{name} {times}" for name, times in sorted(self.kinds.items())))
        left = self.corrupted - self.refused
        print(f"checkpoints corrupted {self.corrupted}, refused {self.refused}, not refused as they should be {left}")
        print(f"harmless leftovers, and files that were alike, {self.harmless}: nothing changed by {self.unchanged}")
        for each in self.faults:
            print(f"  {each}")


def corruptions(wanted: int, seed: int, folder: Path) -> bool:
    """Damage checkpoints so many times, print what came of it, and say whether each was refused or harmless."""
    bench, chance, tally = Bench.made(folder), random.Random(seed), Tally()
    stopped = folder / "stopped"
    assert bench.train(folder / "whole", Path(os.devnull)).status == 0
    assert bench.train(stopped, Path(os.devnull), prepare=Kill("step", STOPPED, 0).prepare).killed
    os.environ["OMP_NUM_THREADS"] = "1"  # as those had
    checkpoints = RunDirectory(stopped).checkpoints
    names = checkpoints.names
    assert len(names) == 3, f"the best has to be an older one: {names}"
    right = {each: _digests(open_run(stopped, checkpoint=each, device="cpu").model) for each in names}
    unstated = {"open_run": checkpoints.take().path.name, "--init": checkpoints.take().path.name, "--resume": names[-1]}
    for number, (spoil, file) in enumerate(_cases(checkpoints.path / names[0], chance)):
        if tally.corrupted >= wanted:
            break
        run = Path(shutil.copytree(stopped, folder / f"spoilt-{number}"))
        name, way = chance.choice(names), WAYS[number % len(WAYS)]
        target = Target(run / "checkpoints", name, file, chance)
        damaged = Damaged(f"{spoil.__name__} {name}/{file}", frozenset(spoil(target)))
        taken = Taken(name, way, name != unstated[way] or spoil is another_step)
        fault = _judge(bench, run, taken, damaged, right)
        tally.count(spoil, damaged, fault)
        tally.faults += [] if fault is None else [f"{damaged.what}, {way}: {fault}; see {run}"]
        if fault is None:
            shutil.rmtree(run)
            shutil.rmtree(f"{run}-from", ignore_errors=True)
    print(f"\ncorruptions: seed {seed}, checkpoints {', '.join(names)}, opened by {', '.join(WAYS)} in turn")
    tally.show()
    return not tally.faults


def _cases(checkpoint: Path, chance: random.Random) -> Iterator[tuple[Spoil, str]]:
    """Every way to spoil every file, in a drawn order, again and again."""
    files = sorted(each.name for each in checkpoint.iterdir())
    while True:
        cases = [(each, file) for each in PER_FILE for file in files] + [
            (each, files[0]) for each in PER_CHECKPOINT * 3
        ]
        yield from chance.sample(cases, len(cases))


def _judge(bench: Bench, run: Path, taken: Taken, damaged: Damaged, right: Mapping[str, Digests]) -> str | None:
    """What is wrong with how the damage was met; None where all is as it has to be."""
    before = _listed(run)
    try:
        weights = taken.open(bench, run)
    except RunError as refusal:
        return _refusal_fault(str(refusal), run, damaged, right, before)
    except Exception as crash:  # noqa: BLE001 (no refusal, whatever it is)
        return f"it crashed: {crash!r}"
    if damaged.names:
        return f"{'the right' if weights == right[taken.name] else 'other'} weights were loaded, and nothing said"
    if weights != right[taken.name]:
        return "other weights were loaded"
    if taken.way == "--resume" and Trail.of(run) != Trail.of(bench.folder / "whole"):
        return "it went on otherwise than the undisturbed run"
    return None


def _refusal_fault(
    said: str, run: Path, damaged: Damaged, right: Mapping[str, Digests], before: list[tuple[str, int]]
) -> str | None:
    if not damaged.names:
        return f"it was refused: {said}"
    if not any(each in said for each in damaged.names) or not ("is damaged" in said or "has no checkpoint" in said):
        return f"it was refused without its name: {said}"
    whole = right.keys() - damaged.names
    offered = {each for each in right if f"{each} is whole" in said} or {each for each in whole if each in said}
    if whole and not offered:
        return f"it was refused, and none of {sorted(whole)} offered: {said}"
    for each in offered:
        if each not in whole or _digests(open_run(run, checkpoint=each, device="cpu").model) != right[each]:
            return f"{each} was offered, which is not what it was: {said}"
    return None if _listed(run) == before else "the refusal changed the run"


def _digests(model: torch.nn.Module) -> Digests:
    return {name: sha256(each.detach().numpy().tobytes()).hexdigest() for name, each in model.named_parameters()}


def _listed(run: Path) -> list[tuple[str, int]]:
    """Every file and its size, but for the one that says who trains into a run."""
    return sorted((str(each), each.lstat().st_size) for each in run.rglob("*") if each.name != ".lock")
