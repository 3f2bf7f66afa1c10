"""What a `require` asks to be measured."""

from __future__ import annotations

from llm_build.components import Config
from llm_build.context import Context
from llm_build.cost.weights import parameters
from llm_build.language.values import Wrong


def decide(what: str, config: Config, context: Context) -> int:
    """What `params(…)`, `flops(…)` or `memory(…)` asks for in a `require`. Raises `Wrong` for the last two."""
    if what != "params":
        raise Wrong(
            f"{what} cannot be decided yet: only params is measured",
            "leave this requirement out, or require params(…)",
            "E312",
        )
    return parameters(config, context)
