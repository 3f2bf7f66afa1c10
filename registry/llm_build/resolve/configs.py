"""Checking a config that was made in Python: the same filling that a text goes through."""

from __future__ import annotations

import logging

from llm_build.components import Config, Problem
from llm_build.context import Context
from llm_build.diagnostics import Severity
from llm_build.errors import SpecError
from llm_build.registry import Registry, installed
from llm_build.resolve.fill import Filler
from llm_build.resolve.places import unplaced
from llm_build.resolve.rules import RULE_FAILS, check_rules, held
from llm_build.spec import Spec

log = logging.getLogger("llm_build.resolve")


def resolve(config: Config, context: Context | None = None, registry: Registry | None = None) -> Config:
    """A filled copy of a config in a context: every field has its value. Raises `SpecError` with every fault.

    A whole `Spec` must keep the rules of every plugin too; a rule that fails is logged as a warning. What the configs
    and the rules themselves warn of is for `problems` to say, and for whoever reads a text.
    """
    registry = registry or installed()
    filler = Filler(registry)
    filled = filler.fill(config, context or Context())
    if filled is None or filler.faults:
        raise SpecError([unplaced(each) for each in filler.faults])
    if isinstance(filled, Spec):
        _keep_rules(filled, registry)
    return filled


def _keep_rules(spec: Spec, registry: Registry) -> None:
    found = check_rules(spec, registry)
    for each in found:
        if each.code == RULE_FAILS:
            log.warning("%s", each)
    errors = [each for each in found if each.severity is Severity.ERROR]
    if errors:
        raise SpecError(errors)


def problems(config: Config, context: Context) -> list[Problem]:
    """Every problem of a config and of its parts in a context, warnings behind errors, and of a whole `Spec` what the
    rules find."""
    registry = installed()
    filler = Filler(registry)
    filled = filler.fill(config, context)
    found = [each.problem for each in (*filler.faults, *filler.warnings)]
    if isinstance(filled, Spec) and not filler.faults:
        said = (each for rule in registry.rules for each in held(rule, filled))
        found += [each for each in said if isinstance(each, Problem)]
    return found
