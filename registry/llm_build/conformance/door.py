"""The door for test files: `test_ring = conformance("norm:acme.ring")`."""

from __future__ import annotations

from collections.abc import Callable

from llm_build.components import Config
from llm_build.conformance.report import Outcome, Report
from llm_build.conformance.running import checks_for, run
from llm_build.conformance.subject import Reference, Subject


def conformance(
    component: str | type[Config], *, reference: Reference | None = None, full: bool = False, seed: int = 0
) -> Callable[[str], None]:
    """A test function for pytest, which it runs once for each check that the component is held to.

    `component` is an id, as "norm:acme.ring", or a config class. `reference(module, *inputs)` gives what the module
    must give. `full` draws ten times as many cases. What a component opts out of stands in its own declaration.
    Raises `PluginError` where there is no such component.
    """
    import pytest  # a test file has it

    subject = Subject.of(component, reference)
    held = {each.id: each for each in checks_for(subject, full=full)}
    known = {each.id for each in checks_for(subject)}
    stray = [pytest.param(name, id=f"opt-out-{name}") for name in subject.opt_outs if name not in known]

    @pytest.mark.parametrize("check", [*held, *stray])
    def test(check: str) -> None:
        if check not in held:
            pytest.fail(f"{subject.id} opts out of {check}, which it is not held to", pytrace=False)
        verdict = run(subject, held[check], full=full, seed=seed)
        if verdict.outcome is Outcome.OPTED_OUT:
            pytest.xfail(verdict.reason)
        report = Report(subject=subject, verdicts=[verdict], full=full, seed=seed, partial=True)
        if verdict.bad:
            pytest.fail("\n".join(report.failure_lines(verdict)), pytrace=False)
        if verdict.outcome is Outcome.WARNED:
            import warnings

            warnings.warn("\n".join(report.failure_lines(verdict)), stacklevel=1)

    test.__doc__ = f"{subject.id} keeps its promises, as far as drawn cases show."
    return test
