"""The config of rotary positions that are scaled as Llama 3.1 does."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, component, number, size


@component("scaling:llama3", module="llm_build_plugins.position.llama3_module:Llama3")
class llama3(Config):
    """Slow pairs turn slower by `factor`, fast ones as before, and between them the change is smooth.

    A pair is slow where it turns less than `low` times within `original` tokens, and fast beyond `high` times. How long
    a context that serves is not said: Llama 3.1 itself goes to 16 · original with a factor of 8.
    Source: Grattafiori et al. 2024, "The Llama 3 herd of models", section 3.4.2, as released with Llama 3.1 in
    `apply_scaling`.
    """

    factor: float = number(low=1, example=8, doc="how many times slower slow pairs turn")
    low: float = number(default=1, above=0, doc="turns within `original` up to which a pair is slow")
    high: float = number(default=4, above=0, doc="turns within `original` from which a pair is fast")
    original: int = size(high=2**30, example=8_192, doc="the context of training before it was scaled, in tokens")

    def check_high(self, context: Context) -> Iterator[Problem]:
        if self.high <= self.low:
            yield Problem(
                field="high",
                message=f"high must be above low = {self.low:g}; {self.high:g} arrived",
                help="write low = 1 and high = 4, as Llama 3.1 has them",
                related=("low",),
            )
