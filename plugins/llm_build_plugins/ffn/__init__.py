"""Feed-forward networks and their activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.ffn.activation_config import gelu as gelu
    from llm_build_plugins.ffn.activation_config import relu as relu
    from llm_build_plugins.ffn.activation_config import silu as silu
    from llm_build_plugins.ffn.mlp_config import mlp as mlp
    from llm_build_plugins.ffn.swiglu_config import swiglu as swiglu

llm_components, __getattr__ = plugin(
    {
        "activation:gelu": "llm_build_plugins.ffn.activation_config:gelu",
        "activation:relu": "llm_build_plugins.ffn.activation_config:relu",
        "activation:silu": "llm_build_plugins.ffn.activation_config:silu",
        "ffn:mlp": "llm_build_plugins.ffn.mlp_config:mlp",
        "ffn:swiglu": "llm_build_plugins.ffn.swiglu_config:swiglu",
    }
)
