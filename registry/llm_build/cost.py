"""What a part of a spec costs, measured on the module that is really built, on the meta device."""

from __future__ import annotations

from llm_build.assemble import build
from llm_build.components import Config
from llm_build.context import Context
from llm_build.language.values import Wrong


def parameters(config: Config, context: Context | None = None) -> int:
    """The number of parameters of a config's module; shared weights count once."""
    module = build(config, context=context, device="meta")
    return sum(each.numel() for each in module.parameters())


def decide(what: str, config: Config, context: Context) -> int:
    """What `params(…)`, `flops(…)` or `memory(…)` asks for in a `require`. Raises `Wrong` for the last two."""
    if what != "params":
        raise Wrong(
            f"{what} cannot be decided yet: only params is measured",
            "leave this requirement out, or require params(…)",
            "E312",
        )
    return parameters(config, context)
