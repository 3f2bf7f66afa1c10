"""Heads: from the last hidden vectors to logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.head.linear_config import linear as linear

llm_components, __getattr__ = plugin({"head:linear": "llm_build_plugins.head.linear_config:linear"})
