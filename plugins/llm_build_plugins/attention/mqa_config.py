"""Multi-query attention's config."""

from __future__ import annotations

from llm_build import component
from llm_build_plugins.attention._shared import MODULE, SoftmaxAttention


@component("attention:mqa", module=MODULE, capabilities=["causal", "cache"])
class mqa(SoftmaxAttention):
    """Multi-query attention: all query heads share one head of keys and values.

    Source: Shazeer 2019, "Fast Transformer decoding: one write-head is all you need", section 3.
    """

    @property
    def kv_heads(self) -> int:
        return 1
