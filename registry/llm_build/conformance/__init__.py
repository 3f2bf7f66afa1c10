"""The conformance kit: what holds a component to what its slot asks and to what it promises.

    from llm_build.conformance import conformance

    test_ring = conformance("norm:acme.ring")

A check is a law: cases of the component are drawn from its own fields and from surroundings that its slot may have, and
one that breaks the law is shrunk before it is told. A pass is no proof. The command line has the same as `verify`.
"""

from llm_build.conformance.check import EDITION, Check, checks
from llm_build.conformance.door import conformance
from llm_build.conformance.report import Failure, Outcome, Report, Verdict
from llm_build.conformance.running import checks_for, run, verify
from llm_build.conformance.subject import Subject

__all__ = [
    "EDITION",
    "Check",
    "Failure",
    "Outcome",
    "Report",
    "Subject",
    "Verdict",
    "checks",
    "checks_for",
    "conformance",
    "run",
    "verify",
]
