"""The config of YaRN."""

from __future__ import annotations

import math
from collections.abc import Iterator

from llm_build import Config, Context, Problem, component, flag, number, size
from llm_build_plugins.position._beyond import beyond


@component("scaling:yarn", module="llm_build_plugins.position.yarn_module:Yarn")
class yarn(Config):
    """YaRN: slow pairs turn slower by `factor`, fast ones as before, and attention gets sharper.

    Between the pair that turns `beta_fast` times within `original` tokens and the one that turns `beta_slow` times the
    change is linear in the number of the pair, as in the authors' code; the paper has it linear in the turns. With
    m(a) = 1 + 0.1 a ln(factor), cosines and sines are multiplied by m(mscale) / m(mscale_all), and the scores of the
    whole head, also of what does not rotate, by m(mscale_all)².
    Source: Peng et al. 2023, "YaRN: Efficient context window extension of large language models", sections 3.2 and 3.4;
    `mscale_all` is DeepSeek-V2's (2024, section 3.1.4, as released), `truncate = false` gpt-oss's.
    """

    factor: float = number(low=1, example=4, doc="how many times slower slow pairs turn")
    original: int = size(high=2**30, example=4_096, doc="the context of training before it was scaled, in tokens")
    mscale: float = number(default=1, low=0, doc="how much cosines and sines grow with the factor; 0: not at all")
    mscale_all: float = number(default=0, low=0, doc="how much all scores grow instead; 0: not at all")
    truncate: bool = flag(default=True, doc="let the change begin and end at whole pairs")
    beta_fast: float = number(default=32, above=0, doc="turns within `original` from which a pair turns as before")
    beta_slow: float = number(default=1, above=0, doc="turns within `original` up to which a pair slows by the factor")

    def check_beta(self, context: Context) -> Iterator[Problem]:
        if self.beta_fast <= self.beta_slow:
            yield Problem(
                field="beta_fast",
                message=f"beta_fast must be above beta_slow = {self.beta_slow:g}; {self.beta_fast:g} arrived",
                help="write beta_fast = 32 and beta_slow = 1, as the authors have them",
                related=("beta_slow",),
            )

    def check_original(self, context: Context) -> Iterator[Problem]:
        least = 2 * math.pi * self.beta_slow
        if self.original <= least:
            yield Problem(
                field="original",
                message=f"original must be above 2π · beta_slow = {least:.3g}, or all is slow; {self.original} arrived",
                help="write the context of training, or scaling = linear { … }",
            )

    def check_context(self, context: Context) -> Iterator[Problem]:
        return beyond(self.factor, self.original, context)
