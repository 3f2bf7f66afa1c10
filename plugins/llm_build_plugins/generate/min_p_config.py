"""The config of min-p sampling."""

from __future__ import annotations

from llm_build import Config, component, number


@component("sampler:min_p", module="llm_build_plugins.generate.min_p_module:MinP")
class min_p(Config):
    """One of the tokens that are at least p times as likely as the likeliest.

    Source: Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs", section 3.
    """

    p: float = number(default=0.1, above=0, high=1, doc="share of the largest probability, after the temperature")
    temperature: float = number(default=1, low=1e-6, doc="below 1 sharper, above 1 flatter; for 0 take greedy")
    repetition: float = number(default=1, low=1, doc="penalty on tokens that the row holds already; 1 is none")
