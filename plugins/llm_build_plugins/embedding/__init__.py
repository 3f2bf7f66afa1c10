"""Token embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.embedding.token_config import token as token

llm_components, __getattr__ = plugin({"embedding:token": "llm_build_plugins.embedding.token_config:token"})
