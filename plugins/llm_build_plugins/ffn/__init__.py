"""Feed-forward networks with their activations, and mixtures of them with their routers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.ffn.activation_config import gelu as gelu
    from llm_build_plugins.ffn.activation_config import relu as relu
    from llm_build_plugins.ffn.activation_config import silu as silu
    from llm_build_plugins.ffn.geglu_config import geglu as geglu
    from llm_build_plugins.ffn.mlp_config import mlp as mlp
    from llm_build_plugins.ffn.moe_config import moe as moe
    from llm_build_plugins.ffn.router_config import sigmoid_groups as sigmoid_groups
    from llm_build_plugins.ffn.router_config import softmax_topk as softmax_topk
    from llm_build_plugins.ffn.router_config import topk_softmax as topk_softmax
    from llm_build_plugins.ffn.swiglu_config import swiglu as swiglu

llm_components, __getattr__ = plugin(
    {
        "activation:gelu": "llm_build_plugins.ffn.activation_config:gelu",
        "activation:relu": "llm_build_plugins.ffn.activation_config:relu",
        "activation:silu": "llm_build_plugins.ffn.activation_config:silu",
        "ffn:geglu": "llm_build_plugins.ffn.geglu_config:geglu",
        "ffn:mlp": "llm_build_plugins.ffn.mlp_config:mlp",
        "ffn:moe": "llm_build_plugins.ffn.moe_config:moe",
        "ffn:swiglu": "llm_build_plugins.ffn.swiglu_config:swiglu",
        "router:sigmoid_groups": "llm_build_plugins.ffn.router_config:sigmoid_groups",
        "router:softmax_topk": "llm_build_plugins.ffn.router_config:softmax_topk",
        "router:topk_softmax": "llm_build_plugins.ffn.router_config:topk_softmax",
    }
)
