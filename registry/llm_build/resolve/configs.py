"""Checking a config that was made in Python: the same filling that a text goes through."""

from __future__ import annotations

from llm_build.components import Config, Problem
from llm_build.context import Context
from llm_build.errors import SpecError
from llm_build.registry import Registry, installed
from llm_build.resolve.fill import Filler
from llm_build.resolve.places import unplaced


def resolve(config: Config, context: Context | None = None, registry: Registry | None = None) -> Config:
    """A filled copy of a config in a context: every field has its value. Raises `SpecError` with every fault."""
    filler = Filler(registry or installed())
    filled = filler.fill(config, context or Context())
    if filled is None or filler.faults:
        raise SpecError([unplaced(each) for each in filler.faults])
    return filled


def problems(config: Config, context: Context) -> list[Problem]:
    """Every problem of a config and of its parts in a context."""
    filler = Filler(installed())
    filler.fill(config, context)
    return [each.problem for each in filler.faults]
