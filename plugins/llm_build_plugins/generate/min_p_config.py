"""The config of min-p sampling."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, component, number
from llm_build_plugins.generate._cold import idle_filter


@component("sampler:min_p", module="llm_build_plugins.generate.min_p_module:MinP")
class min_p(Config):
    """One of the tokens that are at least p times as likely as the likeliest.

    Source: Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs", section 3.
    """

    p: float = number(default=0.1, above=0, high=1, doc="share of the largest probability, after the temperature")
    temperature: float = number(default=1, low=0, doc="below 1 sharper, above 1 flatter; 0: only the likeliest")
    repetition: float = number(default=1, low=1, doc="penalty on tokens that the row holds already; 1 is none")

    def check_temperature(self, context: Context) -> Iterator[Problem]:
        return idle_filter("p", self.temperature)
