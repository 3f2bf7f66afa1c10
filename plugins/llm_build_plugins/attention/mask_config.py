"""The masks' configs."""

from __future__ import annotations

from llm_build import Config, component


@component("mask:causal", module="llm_build_plugins.attention.mask_module:Causal", capabilities=["causal"])
class causal(Config):
    """A query sees itself and what came before."""


@component("mask:full", module="llm_build_plugins.attention.mask_module:Full")
class full(Config):
    """A query sees every position of its sequence: for encoders."""
