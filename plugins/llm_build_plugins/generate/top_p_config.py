"""The config of top-p (nucleus) sampling."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, component, number
from llm_build_plugins.generate._cold import idle_filter


@component("sampler:top_p", module="llm_build_plugins.generate.top_p_module:TopP", capabilities=["nucleus"])
class top_p(Config):
    """One of the fewest likeliest tokens that hold a share p of the probability; the one that crosses p is among them.

    Source: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", equation 2.
    """

    p: float = number(default=0.9, above=0, high=1, doc="probability to draw from, after the temperature")
    temperature: float = number(default=1, low=0, doc="below 1 sharper, above 1 flatter; 0: only the likeliest")
    repetition: float = number(default=1, low=1, doc="penalty on tokens that the row holds already; 1 is none")

    def check_temperature(self, context: Context) -> Iterator[Problem]:
        return idle_filter("p", self.temperature)
