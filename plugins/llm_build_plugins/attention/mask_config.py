"""The masks' configs."""

from __future__ import annotations

from llm_build import Config, component, size


@component("mask:causal", module="llm_build_plugins.attention.mask_module:Causal", capabilities=["causal"])
class causal(Config):
    """A query sees itself and what came before."""


@component("mask:full", module="llm_build_plugins.attention.mask_module:Full")
class full(Config):
    """A query sees every position of its sequence: for encoders."""


@component("mask:sliding", module="llm_build_plugins.attention.mask_module:Sliding", capabilities=["causal", "window"])
class sliding(Config):
    """A query sees the `window` latest positions, its own among them; in an encoder, as many to either side.

    Source: Beltagy, Peters and Cohan 2020, "Longformer", section 3.1.
    """

    window: int = size(high=2**30, example=256, doc="positions to one side, with the query's own")
