"""Positions: rotary, sinusoidal, learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.position.learned_config import learned as learned
    from llm_build_plugins.position.rope_config import rope as rope
    from llm_build_plugins.position.sinusoidal_config import sinusoidal as sinusoidal

llm_components, __getattr__ = plugin(
    {
        "position:learned": "llm_build_plugins.position.learned_config:learned",
        "position:rope": "llm_build_plugins.position.rope_config:rope",
        "position:sinusoidal": "llm_build_plugins.position.sinusoidal_config:sinusoidal",
    }
)
