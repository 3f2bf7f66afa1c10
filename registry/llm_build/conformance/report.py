"""What became of a component's checks, as text and as JSON."""

from __future__ import annotations

import shlex
import traceback
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

from llm_build.conformance.check import EDITION, Check, checks
from llm_build.conformance.subject import Subject

LAWS = Path(__file__).with_name("laws")
NO_PROOF = (
    "A pass is evidence, not a proof: these are drawn cases, and what is wrong in a way that agrees with itself, "
    "such as another scale, is seen by a reference alone."
)


class Outcome(Enum):
    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"
    OPTED_OUT = "opted out"
    NEEDLESS = "needless opt-out"


class Violation(AssertionError):
    """A law does not hold; the message says which numbers differ."""


@attrs.frozen(kw_only=True)
class Failure:
    """Why a check failed, and the smallest case found: what was drawn, by name. `raised`: where, if unforeseen."""

    message: str
    case: Mapping[str, str]
    raised: str = ""

    @classmethod
    def of(cls, fault: Exception, case: Mapping[str, str]) -> Failure:
        """Of what a law raised; anything but a violation is told with its traceback."""
        if isinstance(fault, Violation):
            return cls(message=str(fault), case=dict(case))
        return cls(message=f"{type(fault).__name__}: {fault}", case=dict(case), raised=_where(fault))


@attrs.frozen(kw_only=True, eq=False)
class Verdict:
    """What one check says of a component."""

    check: Check
    outcome: Outcome
    cases: int
    seconds: float
    failure: Failure | None = None
    reason: str = ""

    @property
    def bad(self) -> bool:
        """Whether the component does not conform."""
        return self.outcome in (Outcome.FAILED, Outcome.NEEDLESS)


@attrs.frozen(kw_only=True, eq=False)
class Report:
    """Everything that was asked of a component. `partial`: only some of its checks were."""

    subject: Subject
    verdicts: Sequence[Verdict]
    full: bool
    seed: int
    partial: bool = False

    @property
    def passed(self) -> bool:
        return not any(each.bad for each in self.verdicts) and not self.unknown

    @property
    def unknown(self) -> list[str]:
        """Opt-outs of checks that the component is not held to."""
        if self.partial:
            return []
        return sorted(
            set(self.subject.opt_outs) - {each.id for each in checks().values() if each.applies(self.subject)}
        )

    def rerun(self, verdict: Verdict) -> str:
        """The command that draws the same cases of one check again; of a class that nobody installed, its test."""
        if self.subject.owner is None and not self.subject.doors:
            return shlex.join(["pytest", "-k", verdict.check.id])
        words = ["llm-build", "verify", self.subject.id, "--check", verdict.check.id]
        words += ["--full"] * self.full + ["--seed", str(self.seed)] * bool(self.seed)
        if not verdict.check.applies(attrs.evolve(self.subject, reference=None)):
            words += ["--reference", self.subject.oracle]
        words += [word for each in self.subject.doors for word in ("--plugin", each)]
        return shlex.join(words)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "component": self.subject.id,
            "owner": str(self.subject.owner or ""),
            "edition": EDITION,
            "full": self.full,
            "seed": self.seed,
            "passed": self.passed,
            "unknown_opt_outs": self.unknown,
            "checks": [self._verdict(each) for each in self.verdicts],
            "note": NO_PROOF,
        }

    def _verdict(self, each: Verdict) -> dict[str, Any]:
        found: dict[str, Any] = {
            "id": each.check.id,
            "proves": each.check.proves,
            "outcome": each.outcome.value,
            "cases": each.cases,
            "seconds": round(each.seconds, 3),
            "reason": each.reason,
        }
        if each.failure is not None:
            found |= {"message": each.failure.message, "case": each.failure.case, "rerun": self.rerun(each)}
            found["raised"] = each.failure.raised
        return found

    def lines(self) -> Iterator[str]:
        """For people: a line a check, each failure with its case, and what the whole is worth."""
        drawn = "full" if self.full else "quick"
        yield f"{self.subject}: edition {EDITION}, {drawn}, seed {self.seed}"
        width = max((len(each.check.id) for each in self.verdicts), default=0)
        for each in self.verdicts:
            told = each.reason or each.check.proves
            yield f"  {each.outcome.value:<16}  {each.check.id:<{width}}  {each.seconds:5.1f} s  {told}"
        for each in self.verdicts:
            if each.bad or each.outcome is Outcome.WARNED:
                yield ""
                yield from self.failure_lines(each)
        for name in self.unknown:
            yield f"\nopts out of {name}, which it is not held to: take it out of opt_outs"
        yield ""
        yield self._sum()

    def failure_lines(self, verdict: Verdict) -> Iterator[str]:
        """One verdict that is not good, in full."""
        yield f"{verdict.check.id}: {verdict.check.proves}"
        if verdict.outcome is Outcome.NEEDLESS:
            yield f'  it holds, so the opt-out ("{verdict.reason}") is not needed: take it out of opt_outs'
        elif verdict.failure is not None:
            yield from (f"  {line}" for line in verdict.failure.message.splitlines())
            if verdict.failure.case:
                yield "  the smallest case found:"
                yield from (f"    {name} = {value}" for name, value in _shown(verdict.failure.case))
            if verdict.failure.raised:
                yield from (f"    {line}" for line in verdict.failure.raised.splitlines())
        if verdict.outcome is Outcome.WARNED:
            yield f"  this check is new: it will fail from edition {verdict.check.since} on"
        yield f"  again: {self.rerun(verdict)}"

    def _sum(self) -> str:
        counts = {each: sum(verdict.outcome is each for verdict in self.verdicts) for each in Outcome}
        said = ", ".join(f"{count} {each.value}" for each, count in counts.items() if count)
        return f"{said}. {NO_PROOF}" if self.passed else f"{said}."


def _where(fault: Exception) -> str:
    """Where it was raised: the part of the traceback that begins in a law, without what torch did on its way."""
    frames = traceback.extract_tb(fault.__traceback__)
    begin = next((number for number, each in enumerate(frames) if Path(each.filename).parent == LAWS), 0)
    told = [each for each in frames[begin:-1] if "/torch/" not in Path(each.filename).as_posix()]
    return "".join(traceback.format_list([*told, *frames[-1:]])).rstrip()


def _shown(case: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in case.items():
        yield name, value.replace("\n", "\n      ")
