"""SwiGLU's config."""

from __future__ import annotations

from typing import Any

from llm_build import Config, component, flag, size


def two_thirds(_config: Any, context: Any) -> int:
    """8/3 · dim, so that three matrices weigh what the two of a plain network with 4 · dim do; a multiple of 8."""
    dim: int = context.need("dim")
    return 8 * -(-dim // 3)


@component("ffn:swiglu", module="llm_build_plugins.ffn.swiglu_module:SwiGLU")
class swiglu(Config):
    """A gated feed-forward network, each position by itself: down(silu(gate(x)) · up(x)).

    `hidden` is 8/3 · dim unless stated, up to a multiple of 8: as many parameters as a plain network of 4 · dim.
    Source: Shazeer 2020, "GLU variants improve Transformer", equation 6 and section 2.
    """

    hidden: int = size(
        high=2**24, derive=two_thirds, says="8 * dim / 3, up to a multiple of 8", doc="the width of the gate"
    )
    bias: bool = flag(default=False)
