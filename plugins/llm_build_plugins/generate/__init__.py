"""Writing: the generator, its samplers, and how what the model keeps lies in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.generate.decode_config import decode as decode
    from llm_build_plugins.generate.dense_config import dense as dense
    from llm_build_plugins.generate.greedy_config import greedy as greedy
    from llm_build_plugins.generate.int8_config import int8 as int8
    from llm_build_plugins.generate.min_p_config import min_p as min_p
    from llm_build_plugins.generate.paged_config import paged as paged
    from llm_build_plugins.generate.raw_config import raw as raw
    from llm_build_plugins.generate.temperature_config import temperature as temperature
    from llm_build_plugins.generate.top_k_config import top_k as top_k
    from llm_build_plugins.generate.top_p_config import top_p as top_p

llm_components, __getattr__ = plugin(
    {
        "cache:dense": "llm_build_plugins.generate.dense_config:dense",
        "cache:paged": "llm_build_plugins.generate.paged_config:paged",
        "codec:int8": "llm_build_plugins.generate.int8_config:int8",
        "codec:raw": "llm_build_plugins.generate.raw_config:raw",
        "generator:decode": "llm_build_plugins.generate.decode_config:decode",
        "sampler:greedy": "llm_build_plugins.generate.greedy_config:greedy",
        "sampler:min_p": "llm_build_plugins.generate.min_p_config:min_p",
        "sampler:temperature": "llm_build_plugins.generate.temperature_config:temperature",
        "sampler:top_k": "llm_build_plugins.generate.top_k_config:top_k",
        "sampler:top_p": "llm_build_plugins.generate.top_p_config:top_p",
    }
)
