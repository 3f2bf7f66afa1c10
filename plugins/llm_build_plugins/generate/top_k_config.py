"""The config of top-k sampling."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, component, number, size
from llm_build_plugins.generate._cold import idle_filter


@component("sampler:top_k", module="llm_build_plugins.generate.top_k_module:TopK")
class top_k(Config):
    """One of the k likeliest tokens.

    Source: Fan, Lewis and Dauphin 2018, "Hierarchical Neural Story Generation", section 5.4.
    """

    k: int = size(default=50, doc="tokens to draw from; those as likely as the last of them come too")
    temperature: float = number(default=1, low=0, doc="below 1 sharper, above 1 flatter; 0: only the likeliest")
    repetition: float = number(default=1, low=1, doc="penalty on tokens that the row holds already; 1 is none")

    def check_temperature(self, context: Context) -> Iterator[Problem]:
        return idle_filter("k", self.temperature)
