"""Configs as text, for what is told of a failing case, and back."""

from __future__ import annotations

from llm_build.components import Config
from llm_build.diagnostics import Source
from llm_build.errors import SpecError
from llm_build.language.evaluator import evaluate
from llm_build.language.writer import write_component, write_let
from llm_build.registry import installed
from llm_build.resolve.lower import Lowering
from llm_build.resolve.raising import raised

NAME = "written"


def text_of(config: Config) -> str:
    """A config as a spec writes it: "gqa { heads = 4 }"."""
    return write_component(raised(config))


def read_config(config: Config) -> Config:
    """What a config becomes, written as a spec writes it and read again. Raises `SpecError` for what cannot be read."""
    evaluated = evaluate(Source("<text>", write_let(NAME, raised(config))))
    lowering = Lowering(installed())
    binding = next(each for each in evaluated.bindings if each.node.name == NAME)
    found = None if binding.value is None else lowering.component(binding.value, config.__component__.slot)
    faults = [*evaluated.faults, *lowering.faults]
    if faults or found is None:
        raise SpecError(faults)
    return found
