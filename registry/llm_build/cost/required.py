"""What a `require` asks to be measured."""

from __future__ import annotations

from llm_build.assemble import build
from llm_build.components import Config
from llm_build.context import Context
from llm_build.cost.products import products
from llm_build.cost.unmeasured import Unmeasured
from llm_build.cost.weights import parameters
from llm_build.language.values import Wrong


def decide(what: str, config: Config, context: Context) -> int:
    """What `params(…)` or `flops(…)` asks for in a `require`.

    `flops(model)` are those a token, as `products` counts them at the model's context. Raises `Wrong` for the flops of
    a part or of what cannot run on the meta device.
    """
    return flops(config, context) if what == "flops" else parameters(config, context)


def flops(config: Config, context: Context) -> int:
    """The operations a token of a whole model."""
    if config.__component__.slot != "model":
        raise Wrong("flops takes a whole model, since a part has no length of its own", "write flops(model)", "E312")
    try:
        return round(products(build(config, context=context, device="meta")).a_token)
    except Unmeasured as fault:
        raise Wrong(str(fault), "leave this requirement out, or require params(…)", "E312") from fault
