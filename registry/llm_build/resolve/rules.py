"""Rules: what plugins say of a whole resolved spec. Each rule is fenced: one that raises stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from llm_build.components import Problem
from llm_build.diagnostics import Diagnostic, Related, Severity, Span
from llm_build.offers import OwnedRule, PluginFault, said
from llm_build.registry import Registry
from llm_build.spec import Spec

RULE_FAILS = "W314"
"""The code of what is said of a rule that raises."""
Place = Callable[[str], tuple[Span | None, bool]]
"""A path ("generate.cache") → the span of the nearest thing that was written, and whether that is the very field."""


def check_rules(spec: Spec, registry: Registry, place: Place | None = None) -> list[Diagnostic]:
    """What every rule says of a filled spec: its problems, and a warning for each rule that fails.

    A config that was written in Python has no places.
    """
    found = []
    for rule in registry.rules:
        for each in held(rule, spec):
            found.append(_failed(each) if isinstance(each, PluginFault) else _fault(rule, each, place))
    return found


def held(rule: OwnedRule, spec: Spec) -> list[Problem | PluginFault]:
    """The problems that a rule finds, and a plugin's fault where it fails on the way."""
    found: list[Problem | PluginFault] = []
    try:
        for problem in rule.check(spec) or ():
            if not isinstance(problem, Problem):
                raise TypeError(f"a rule yields Problem(field=…, message=…); {problem!r} arrived")
            found.append(problem)
    except (Exception, SystemExit) as fault:  # noqa: BLE001 (a rule may fail in any way, the spec is not at fault)
        message = f"its rule {rule.name} fails: {said(fault)}"
        found.append(PluginFault(rule.owner, message, rule.owner.remedy(), usable=True))
    return found


def _fault(rule: OwnedRule, problem: Problem, place: Place | None) -> Diagnostic:
    span = place(problem.field)[0] if place else None
    message = f"{problem.message} (a rule of {rule.owner})"
    related = tuple(_related(problem, place)) if place else ()
    code = "E314" if problem.severity is Severity.ERROR else "W315"
    return Diagnostic(code=code, message=message, span=span, path=problem.field, help=problem.help, related=related)


def _related(problem: Problem, place: Place) -> Iterator[Related]:
    for path in problem.related:
        span, exact = place(path)
        if span is not None and exact:
            yield Related(f"`{path}` set here", span)


def _failed(fault: PluginFault) -> Diagnostic:
    message = f"plugin {fault.owner.entry} of {fault.owner}: {fault.message}"
    return Diagnostic(code=RULE_FAILS, message=message, help=fault.remedy)
