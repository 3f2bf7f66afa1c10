"""Positions: rotary, sinusoidal, learned; and how rotary ones are scaled to a longer context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.position.learned_config import learned as learned
    from llm_build_plugins.position.linear_config import linear as linear
    from llm_build_plugins.position.llama3_config import llama3 as llama3
    from llm_build_plugins.position.rope_config import rope as rope
    from llm_build_plugins.position.sinusoidal_config import sinusoidal as sinusoidal
    from llm_build_plugins.position.yarn_config import yarn as yarn

llm_components, __getattr__ = plugin(
    {
        "position:learned": "llm_build_plugins.position.learned_config:learned",
        "position:rope": "llm_build_plugins.position.rope_config:rope",
        "position:sinusoidal": "llm_build_plugins.position.sinusoidal_config:sinusoidal",
        "scaling:linear": "llm_build_plugins.position.linear_config:linear",
        "scaling:llama3": "llm_build_plugins.position.llama3_config:llama3",
        "scaling:yarn": "llm_build_plugins.position.yarn_config:yarn",
    }
)
