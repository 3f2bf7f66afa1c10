"""Quantisers: weights in fewer bytes while a model writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.quantize.int8_config import int8 as int8

llm_components, __getattr__ = plugin({"quantizer:int8": "llm_build_plugins.quantize.int8_config:int8"})
