"""Configs as text, for what is told of a failing case."""

from __future__ import annotations

from llm_build.components import Config
from llm_build.language.writer import write_component
from llm_build.resolve.raising import raised


def text_of(config: Config) -> str:
    """A config as a spec writes it: "gqa { heads = 4 }"."""
    return write_component(raised(config))
