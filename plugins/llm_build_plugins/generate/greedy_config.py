"""The config of greedy choice."""

from __future__ import annotations

from llm_build import Config, component, number


@component("sampler:greedy", module="llm_build_plugins.generate.greedy_module:Greedy")
class greedy(Config):
    """Always the likeliest token; of equals the one with the smallest id."""

    repetition: float = number(default=1, low=1, doc="penalty on tokens that the row holds already; 1 is none")
