"""Positions: rotary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.position.rope_config import rope as rope

llm_components, __getattr__ = plugin({"position:rope": "llm_build_plugins.position.rope_config:rope"})
