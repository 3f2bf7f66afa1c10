"""The plain feed-forward network's config."""

from __future__ import annotations

from typing import Any

from llm_build import Config, component, flag, part, size
from llm_build_plugins.ffn._shared import WIDEST


def four_dims(_config: Any, context: Any) -> int:
    dim: int = context.need("dim")
    return 4 * dim


@component("ffn:mlp", module="llm_build_plugins.ffn.mlp_module:MLP", capabilities=["grouped"])
class mlp(Config):
    """Two linear maps with an activation between them, each position by itself: down(activation(up(x))).

    `hidden` is 4 · dim unless stated. Source: Vaswani et al. 2017, "Attention is all you need", section 3.3.
    """

    hidden: int = size(high=WIDEST, derive=four_dims, says="4 * dim", doc="the width between the two maps")
    activation: Config = part("activation", default="gelu")
    bias: bool = flag(default=False, doc="a bias on both linear maps")
