"""Runs that are killed by SIGKILL and gone on with, against the run that nobody disturbed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import attrs

from _small import BATCH, PLACE, Bench, Ended, Report, Trail, last_step, patient, rows_of
from llm_build.run import Job, RunDirectory
from llm_build_plugins.train._loop import Loop

KINDS = ("step", "later", "call", "during", "call", "during")
"""Drawn from: as a step begins; some time after that; at a call of a save to the system; some time in a save."""
AGAIN = 0.5
MOST = 3
"""Kills of one run."""
FRESH = 3
"""Kills of processes that are no forks, as a person starts them."""


@attrs.define
class Counts:
    """What came of the kills."""

    tried: int = 0
    in_save: int = 0
    lost: int = 0
    runs: int = 0
    equal: int = 0
    faults: list[str] = attrs.field(factory=list)


@attrs.frozen
class Whole:
    """The run that nobody disturbed: its trail, its examples, its steps, and how long a step and a save take."""

    trail: Trail
    rows: list[str]
    steps: int
    step_seconds: float
    save_seconds: float
    calls: int


@attrs.frozen
class Kill:
    """One way to be killed, at a step or at the first save from there on; `share` of the usual seconds or calls."""

    kind: str
    step: int
    share: float

    def prepare(self, say: Report, calls: int = 0) -> None:
        """In the child: report each step and save, and die where that is to be from within."""
        watched(say, lambda what, step: self._dying(what, step, calls))

    def _dying(self, what: str, step: int, calls: int) -> Callable[[], None] | None:
        if step < self.step:
            return None
        if (self.kind, what) == ("step", "step"):
            return die
        if (self.kind, what) == ("call", "save"):
            left = count(1 + int(self.share * calls), -1)
            return lambda: die() if next(left) == 1 else None
        return None


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def watched(say: Report, dying: Callable[[str, int], Callable[[], None] | None]) -> None:
    """Have `Loop.step` and `Job.keep` report themselves, and call what `dying` gives for them.

    For a step that is called as it begins, for a save at each of its calls to the system.
    """
    step, keep, fsync = Loop.step, Job.keep, os.fsync
    inside: list[Callable[[], None]] = []

    def each_step(loop: Any) -> None:
        say(f"step {loop.done + 1}")
        at = dying("step", loop.done + 1)
        if at is not None:
            at()
        step(loop)

    def each_keep(job: Any, number: int, *rest: Any) -> None:
        at = dying("save", number)
        inside.extend([] if at is None else [at])
        say(f"save {number}")
        keep(job, number, *rest)
        inside.clear()
        say(f"kept {number}")

    def each_fsync(handle: int) -> None:
        """Two places: before the disk has it, and after."""
        for at in inside:
            at()
        fsync(handle)
        for at in inside:
            at()

    def hook(name: str, _arguments: tuple[object, ...]) -> None:
        if inside and (name == "open" or name.startswith("os.")):
            inside[0]()

    Loop.step, Job.keep, os.fsync = each_step, each_keep, each_fsync  # type: ignore[assignment, method-assign]
    sys.addaudithook(hook)


def kills(wanted: int, seed: int, folder: Path) -> bool:
    """Kill at least so many times, print what came of it, and say whether nothing was lost."""
    bench = Bench.made(folder)
    whole = undisturbed(bench)
    refuse_fork_that_differs(bench, whole)
    chance, counts = random.Random(seed), Counts()
    for number in range(FRESH):
        killed_fresh(bench, whole, chance, counts, folder / f"fresh-{number}")
    while counts.tried < wanted:
        killed_run(bench, whole, chance, counts, folder / f"run-{counts.runs}")
    print(
        f"\nkills: seed {seed}, {whole.steps} steps of {BATCH} rows, epochs of {len(set(whole.rows))} rows, "
        f"dropout 0.2, a save every 4 steps, of {whole.calls} calls to the system"
    )
    print(f"kills tried {counts.tried}, inside a save {counts.in_save}, of fresh processes {FRESH}")
    print(f"runs {counts.runs}, trails equal {counts.equal}, runs that lost a kept step {counts.lost}")
    for each in counts.faults:
        print(f"  {each}")
    return counts.equal == counts.runs and counts.lost == 0 and 3 * counts.in_save >= counts.tried


def undisturbed(bench: Bench) -> Whole:
    run, witness, said = bench.folder / "whole", bench.folder / "whole.rows", list[tuple[float, str]]()
    child = bench.start(run, witness, prepare=lambda say: watched(say, lambda *_: None))
    with os.fdopen(child.pipe, "r") as pipe:
        said = [(time.perf_counter(), line.strip()) for line in pipe]
    assert os.waitpid(child.pid, 0)[1] == 0, (bench.folder / "log.txt").read_text(encoding="utf-8")
    rows = rows_of(witness)
    steps = sum(line.startswith("step ") for _, line in said)
    saves = sorted(b - a for (a, x), (b, y) in pairwise(said) if x.startswith("save ") and y.startswith("kept "))
    taken = sorted(b - a for (a, x), (b, y) in pairwise(said) if x.startswith("step ") and y.startswith("step "))
    refuse_gaps(rows, steps)
    calls = calls_of_a_save(bench)
    return Whole(Trail.of(run), rows, steps, taken[len(taken) // 2], saves[len(saves) // 2], calls)


def calls_of_a_save(bench: Bench) -> int:
    """How often the last save of a run asks something of the system."""
    run = bench.folder / "counted"

    def prepare(say: Report) -> None:
        watched(say, lambda what, step: (lambda: say(f"call {step}")) if what == "save" else None)

    ended = bench.train(run, bench.folder / "counted.rows", prepare=prepare)
    seen = [int(line.split()[1]) for line in ended.lines if line.startswith("call ")]
    shutil.rmtree(run)
    return seen.count(max(seen))


def refuse_gaps(rows: list[str], steps: int) -> None:
    """The undisturbed run itself reads every example once an epoch."""
    distinct = len(set(rows))
    assert len(rows) == steps * BATCH
    assert distinct % BATCH, f"an epoch of {distinct} rows has to end inside a batch"
    for begin in range(0, len(rows) - distinct + 1, distinct):
        assert len(set(rows[begin : begin + distinct])) == distinct, "an epoch reads an example twice"
    assert rows[:distinct] != rows[distinct : 2 * distinct], "two epochs must have orders of their own"


def refuse_fork_that_differs(bench: Bench, whole: Whole) -> None:
    """A fork has to train as a fresh process does."""
    run, witness = bench.folder / "alone", bench.folder / "alone.rows"
    assert fresh(bench, run, witness).wait() == 0
    assert (Trail.of(run), rows_of(witness)) == (whole.trail, whole.rows), "a fork trains unlike a fresh process"


def fresh(bench: Bench, run: Path, witness: Path, *options: str) -> subprocess.Popen[bytes]:
    variables = {**os.environ, PLACE: str(witness), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "llm_build", *bench.arguments(run, *options)]
    with (bench.folder / "log.txt").open("ab") as log:
        return subprocess.Popen(command, env=variables, stdout=log, stderr=log)


def killed_fresh(bench: Bench, whole: Whole, chance: random.Random, counts: Counts, run: Path) -> None:
    """Processes that a person would start: killed from outside at a drawn step, then gone on with."""
    witnesses, aim = [run.with_suffix(f".{number}.rows") for number in range(2)], chance.randrange(1, whole.steps - 2)
    process = fresh(bench, run, witnesses[0])
    patient(lambda: len(rows_of(witnesses[0])) >= BATCH * aim or process.poll() is not None, f"step {aim}")
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    counts.tried += 1
    begun = [0, last_step(run)]
    assert fresh(bench, run, witnesses[1], "--resume").wait() == 0
    judge(whole, run, witnesses, begun, counts, f"a fresh process at step {aim}")


def killed_run(bench: Bench, whole: Whole, chance: random.Random, counts: Counts, run: Path) -> None:
    """One run, killed once or more and then gone on with to its end."""
    begun, witnesses, told, lost = list[int](), list[Path](), list[str](), False
    while True:
        begun.append(last_step(run))
        witnesses.append(run.with_suffix(f".{len(begun)}.rows"))
        options = ("--resume",) if len(begun) > 1 else ()
        more = len(begun) == 1 or (len(begun) <= MOST and chance.random() < AGAIN)
        if not more or begun[-1] >= whole.steps:
            ended = bench.train(run, witnesses[-1], *options)
            break
        kill = Kill(chance.choice(KINDS), chance.randint(begun[-1] + 1, whole.steps), chance.random())
        ended = killed(bench, whole, kill, run, witnesses[-1], options)
        if not ended.killed:
            break
        counts.tried += 1
        counts.in_save += ended.lines[-1].startswith("save ")
        told.append(f"{kill.kind} {kill.step} {kill.share:.3f}")
        kept = [int(line.split()[1]) for line in ended.lines if line.startswith("kept ")]
        lost |= last_step(run) < max([begun[-1], *kept])
    counts.lost += lost
    assert ended.status == 0, f"{told}: {(bench.folder / 'log.txt').read_text(encoding='utf-8')[-2_000:]}"
    judge(whole, run, witnesses, begun, counts, ", then ".join(told))


def killed(bench: Bench, whole: Whole, kill: Kill, run: Path, witness: Path, options: tuple[str, ...]) -> Ended:
    """Train until the kill, or to the end where it came too late."""
    child = bench.start(run, witness, *options, prepare=lambda say: kill.prepare(say, whole.calls))
    said = ""
    if kill.kind in {"later", "during"}:
        save = -(-kill.step // 4) * 4
        said = child.wait_for(f"step {kill.step}" if kill.kind == "later" else f"save {min(save, whole.steps)}")
        time.sleep(kill.share * (whole.step_seconds if kill.kind == "later" else whole.save_seconds))
        os.kill(child.pid, signal.SIGKILL)  # it is our child until it is waited for, so this is nobody else
    return child.ended(said)


def judge(whole: Whole, run: Path, witnesses: list[Path], begun: list[int], counts: Counts, what: str) -> None:
    """Compare a run that was killed and gone on with, with the undisturbed one."""
    counts.runs += 1
    seen = [rows_of(each) for each in witnesses]
    same_rows = all(
        rows == whole.rows[BATCH * first : BATCH * first + len(rows)] for first, rows in zip(begun, seen, strict=True)
    )
    to_the_end = BATCH * begun[-1] + len(seen[-1]) == len(whole.rows)
    swept = not list(RunDirectory(run).checkpoints.path.glob(".*"))
    same = Trail.of(run) == whole.trail
    if same and same_rows and to_the_end and (swept or begun[-1] == whole.steps):
        counts.equal += 1
        shutil.rmtree(run)
        return
    counts.faults.append(f"{what}: trail {same}, rows {same_rows}, to the end {to_the_end}, swept {swept}; see {run}")
