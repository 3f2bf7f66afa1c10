"""The config of rotary positions that are interpolated."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, component, number, size
from llm_build_plugins.position._beyond import beyond


@component("scaling:linear", module="llm_build_plugins.position.linear_module:Linear")
class linear(Config):
    """Position interpolation: every pair turns slower by `factor`, as if positions lay that much closer together.

    Source: Chen et al. 2023, "Extending context window of large language models via positional interpolation",
    section 2.3, equation 4.
    """

    factor: float = number(low=1, example=8, doc="how many times slower every pair turns")
    original: int | None = size(
        high=2**30,
        optional=True,
        doc="the context of training, in tokens; a longer context than factor · original is warned of",
    )

    def check_context(self, context: Context) -> Iterator[Problem]:
        if self.original is not None:
            yield from beyond(self.factor, self.original, context)
