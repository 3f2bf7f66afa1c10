"""SwiGLU's config."""

from __future__ import annotations

from llm_build import component
from llm_build_plugins.ffn._shared import Gated


@component("ffn:swiglu", module="llm_build_plugins.ffn.gated_module:SwiGLU", capabilities=["grouped"])
class swiglu(Gated):
    """A gated feed-forward network, each position by itself: down(silu(gate(x)) · up(x)).

    `hidden` is 8/3 · dim unless stated, up to a multiple of 8: as many parameters as a plain network of 4 · dim.
    Source: Shazeer 2020, "GLU variants improve Transformer", equation 6 and section 2.
    """
