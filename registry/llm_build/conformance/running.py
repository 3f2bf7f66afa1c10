"""Running checks: cases are drawn, a failing one is shrunk, and what became of it is told."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from llm_build.conformance.check import EDITION, Check, checks
from llm_build.conformance.report import Failure, Outcome, Report, Verdict
from llm_build.conformance.subject import Subject
from llm_build.conformance.trial import Trial

CACHE = "LLM_BUILD_CACHE"
UNDRAWN = (
    "no config of it could be drawn that is right in any drawn context: "
    "give its class a method specimens(folder) that returns some"
)


def checks_for(subject: Subject, *, full: bool = True) -> list[Check]:
    """Every check that a component is held to, opted out of or not; without `full`, those of a quick run."""
    return [each for each in checks().values() if each.applies(subject) and (full or each.quick)]


def verify(
    subject: Subject, *, only: Sequence[str] = (), full: bool = False, seed: int = 0, shrink: bool = True
) -> Report:
    """Hold a component to its checks, or to those named in `only`. Without `shrink`, a failing case stays as it is."""
    chosen = [each for each in checks_for(subject, full=full) if not only or each.id in only]
    verdicts = [run(subject, each, full=full, seed=seed, shrink=shrink) for each in chosen]
    return Report(subject=subject, verdicts=verdicts, full=full, seed=seed, partial=bool(only))


def run(subject: Subject, check: Check, *, full: bool = False, seed: int = 0, shrink: bool = True) -> Verdict:
    """Hold a component to one check. A failure it has opted out of is none; an opt-out that is not needed is one."""
    began = time.perf_counter()
    with _alone():
        failure, cases = _search(subject, check, full=full, seed=seed, shrink=shrink)
    seconds = time.perf_counter() - began
    reason = subject.opt_outs.get(check.id)
    return Verdict(
        check=check,
        outcome=_outcome(check, failure, reason),
        cases=cases,
        seconds=seconds,
        failure=failure,
        reason=reason or "",
    )


def _outcome(check: Check, failure: Failure | None, reason: str | None) -> Outcome:
    if reason is not None:
        return Outcome.OPTED_OUT if failure is not None else Outcome.NEEDLESS
    if failure is None:
        return Outcome.PASSED
    return Outcome.WARNED if check.since > EDITION else Outcome.FAILED


def _search(subject: Subject, check: Check, *, full: bool, seed: int, shrink: bool) -> tuple[Failure | None, int]:
    """The failing case that is the smallest, if there is one, and how many cases were tried."""
    trials: list[Trial] = []
    passed = 0

    with tempfile.TemporaryDirectory(prefix="llm-build-verify-") as place, _own_cache(Path(place, "cache")):

        def folder() -> Path:
            return Path(tempfile.mkdtemp(dir=place))

        @settings(
            max_examples=check.full if full else check.quick,
            deadline=None,
            database=None,
            print_blob=False,
            report_multiple_bugs=False,
            phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        @seeded(seed)
        @given(st.data())
        def law(data: st.DataObject) -> None:
            nonlocal passed
            trial = Trial(subject, data, folder, full=full)
            trials[:] = [trial]
            torch.default_generator.manual_seed(0)
            _obeyed(check, trial)
            passed += 1

        try:
            law()
        except Unsatisfiable:
            return Failure(message=UNDRAWN, case={}), 0
        # a component may raise anything at all, and that is a failure of the check
        except Exception as fault:  # noqa: BLE001
            return Failure.of(fault, trials[-1].case), passed
    return None, passed


def _obeyed(check: Check, trial: Trial) -> None:
    """Run a law on a case. What Rust code raises when it panics is no `Exception`, and would end the whole run."""
    try:
        check.law(trial)
    except (Exception, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as panic:
        raise RuntimeError(f"{type(panic).__name__}: {panic}") from panic


@contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    """What a component keeps in the cache folder stays among what is thrown away, and finds nothing that was there."""
    before = os.environ.get(CACHE)
    os.environ[CACHE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[CACHE]
        else:
            os.environ[CACHE] = before


@contextmanager
def _alone() -> Iterator[None]:
    """One thread, as the tensors are tiny; the random state of whoever asks stays as it was."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)
