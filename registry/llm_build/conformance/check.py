"""What a check is, and the table of all of them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from llm_build.conformance.subject import Subject
    from llm_build.conformance.trial import Trial

    Law = Callable[[Trial], None]
    When = Callable[[Subject], bool]

EDITION = 1
"""Of the kit. A check that is new in an edition warns there, and fails from the next one on."""
QUICK, FULL = 10, 100
"""Cases a check."""


def _always(_subject: Any) -> bool:
    return True


@attrs.frozen(kw_only=True, eq=False)
class Check:
    """One law. The first line of its docstring says what it proves, the rest what it cannot and how to read a failure.

    slots      whose components are held to it; empty: those of every slot
    needs      the capabilities that a component must have promised
    when       whether it means anything for a component
    quick, full  how many cases are drawn; one whose `quick` is 0 is asked in a full run alone
    since      the first edition in which it fails; in the one before it warns
    """

    id: str
    law: Law
    slots: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    when: When = _always
    quick: int = QUICK
    full: int = FULL
    since: int = 1

    @property
    def proves(self) -> str:
        """One line."""
        return self.text.partition("\n")[0]

    @property
    def text(self) -> str:
        """The whole docstring, without its indentation."""
        return inspect.cleandoc(self.law.__doc__ or "")

    def applies(self, subject: Subject) -> bool:
        """Whether a component is held to it."""
        info = subject.info
        return (not self.slots or info.slot in self.slots) and self.needs <= info.capabilities and self.when(subject)


CHECKS: dict[str, Check] = {}
"""Every check by its id, in the order in which they run."""


def check(
    identity: str,
    *,
    slots: Iterable[str] = (),
    needs: Iterable[str] = (),
    when: When = _always,
    quick: int = QUICK,
    full: int = FULL,
    since: int = 1,
) -> Callable[[Law], Law]:
    """Make a function a check, under an id that no other has."""

    def register(law: Law) -> Law:
        assert identity not in CHECKS, f"two checks are named {identity}"
        assert law.__doc__, f"{identity} does not say what it proves"
        CHECKS[identity] = Check(
            id=identity,
            law=law,
            slots=frozenset(slots),
            needs=frozenset(needs),
            when=when,
            quick=quick,
            full=full,
            since=since,
        )
        return law

    return register


def checks() -> Mapping[str, Check]:
    """Every check there is."""
    importlib.import_module("llm_build.conformance.laws")  # they register themselves

    return CHECKS
