"""Attention and a recurrence, and the masks that say which keys a query may see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.attention.gated_delta_config import gated_delta as gated_delta
    from llm_build_plugins.attention.gqa_config import gqa as gqa
    from llm_build_plugins.attention.mask_config import causal as causal
    from llm_build_plugins.attention.mask_config import full as full
    from llm_build_plugins.attention.mask_config import sliding as sliding
    from llm_build_plugins.attention.mha_config import mha as mha
    from llm_build_plugins.attention.mla_config import mla as mla
    from llm_build_plugins.attention.mqa_config import mqa as mqa

llm_components, __getattr__ = plugin(
    {
        "attention:gated_delta": "llm_build_plugins.attention.gated_delta_config:gated_delta",
        "attention:gqa": "llm_build_plugins.attention.gqa_config:gqa",
        "attention:mha": "llm_build_plugins.attention.mha_config:mha",
        "attention:mla": "llm_build_plugins.attention.mla_config:mla",
        "attention:mqa": "llm_build_plugins.attention.mqa_config:mqa",
        "mask:causal": "llm_build_plugins.attention.mask_config:causal",
        "mask:full": "llm_build_plugins.attention.mask_config:full",
        "mask:sliding": "llm_build_plugins.attention.mask_config:sliding",
    }
)
