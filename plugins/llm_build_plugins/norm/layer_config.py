"""LayerNorm's config."""

from __future__ import annotations

from llm_build import Config, component, flag, number


@component("norm:layer", module="llm_build_plugins.norm.layer_module:LayerNorm")
class layer(Config):
    """LayerNorm: (x - mean(x)) / std(x) · w + b over the last axis.

    Source: Ba, Kiros and Hinton 2016, "Layer Normalization", section 3.
    """

    eps: float = number(default=1e-5, above=0, doc="added to the variance before the root")
    bias: bool = flag(default=True, doc="add b after the weight")
