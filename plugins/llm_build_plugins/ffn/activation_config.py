"""The activations' configs."""

from __future__ import annotations

from llm_build import Config, choice, component


@component("activation:relu", module="llm_build_plugins.ffn.activation_module:ReLU", capabilities=["grouped"])
class relu(Config):
    """max(x, 0). Source: Nair and Hinton 2010, "Rectified linear units", section 2."""


@component("activation:gelu", module="llm_build_plugins.ffn.activation_module:GELU", capabilities=["grouped"])
class gelu(Config):
    """x · Φ(x), Φ the normal distribution function. Source: Hendrycks and Gimpel 2016, "GELUs", section 2."""

    approximate: str = choice("none", "tanh", default="none", doc='"tanh" is the approximation of GPT-2')


@component("activation:silu", module="llm_build_plugins.ffn.activation_module:SiLU", capabilities=["grouped"])
class silu(Config):
    """x · sigmoid(x). Source: Elfwing, Uchibe and Doya 2017, "Sigmoid-weighted linear units", section 2.1."""
