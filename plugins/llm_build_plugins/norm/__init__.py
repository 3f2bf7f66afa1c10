"""Norms: RMSNorm and LayerNorm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.norm.layer_config import layer as layer
    from llm_build_plugins.norm.rms_config import rms as rms

llm_components, __getattr__ = plugin(
    {
        "norm:layer": "llm_build_plugins.norm.layer_config:layer",
        "norm:rms": "llm_build_plugins.norm.rms_config:rms",
    }
)
