"""The decoder, the encoder–decoder, their blocks, the placements of norms, and the initialiser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.model.block_config import block as block
    from llm_build_plugins.model.decoder_config import decoder as decoder
    from llm_build_plugins.model.encoder_decoder_config import encoder_decoder as encoder_decoder
    from llm_build_plugins.model.normal_config import normal as normal
    from llm_build_plugins.model.placement_config import parallel as parallel
    from llm_build_plugins.model.placement_config import post as post
    from llm_build_plugins.model.placement_config import pre as pre
    from llm_build_plugins.model.stack_config import stack as stack

llm_components, __getattr__ = plugin(
    {
        "block:block": "llm_build_plugins.model.block_config:block",
        "initialiser:normal": "llm_build_plugins.model.normal_config:normal",
        "model:decoder": "llm_build_plugins.model.decoder_config:decoder",
        "model:encoder_decoder": "llm_build_plugins.model.encoder_decoder_config:encoder_decoder",
        "placement:parallel": "llm_build_plugins.model.placement_config:parallel",
        "placement:post": "llm_build_plugins.model.placement_config:post",
        "placement:pre": "llm_build_plugins.model.placement_config:pre",
        "stack:stack": "llm_build_plugins.model.stack_config:stack",
    }
)
