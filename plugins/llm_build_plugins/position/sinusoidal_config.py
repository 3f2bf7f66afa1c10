"""Sinusoidal positions' config."""

from __future__ import annotations

from llm_build import Config, component, number


@component(
    "position:sinusoidal",
    module="llm_build_plugins.position.sinusoidal_module:Sinusoidal",
    capabilities=["additive"],
)
class sinusoidal(Config):
    """Waves of growing length are added to the embeddings; nothing is learned, and any position has its own.

    Dimension 2i takes sin(position / theta^(2i / dim)), dimension 2i + 1 the cosine of the same angle. Of an odd
    dim the last cosine is left out.
    Source: Vaswani et al. 2017, "Attention is all you need", section 3.5.
    """

    theta: float = number(default=10_000, low=1, doc="the base of the wavelengths")
