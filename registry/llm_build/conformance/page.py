"""The page of all checks as Markdown, made of their docstrings: what each proves, and what it cannot see."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build.conformance.check import EDITION, Check, checks
from llm_build.interfaces import PROTOCOLS


def page() -> str:
    """What plugins/CHECKS.md holds."""
    return "\n\n".join(_parts()) + "\n"


def _parts() -> Iterator[str]:
    yield "# The checks of the conformance kit: what each proves, what it cannot see, how to read a failure"
    yield (
        f"Edition {EDITION}. Written by `tools/pages` from the code; [CONFORMANCE.md](CONFORMANCE.md) says how to use "
        "them."
    )
    yield from (_section(each) for each in checks().values())


def _section(check: Check) -> str:
    return "\n".join([f"## {check.id}", "", _asked_of(check), "", check.text])


def _asked_of(check: Check) -> str:
    """Whose components are held to it."""
    slots = [each for each in PROTOCOLS if each in check.slots] + sorted(check.slots - set(PROTOCOLS))
    of = ", ".join(slots) if slots else "every slot"
    needs = f" that promise {', '.join(sorted(check.needs))}" if check.needs else ""
    cases = f"{check.quick} cases, {check.full} in full" if check.quick else f"in full alone, {check.full} cases"
    return f"*{of}{needs}; {cases}*"
