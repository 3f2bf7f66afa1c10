"""Multi-head attention's config."""

from __future__ import annotations

from llm_build import component
from llm_build_plugins.attention._shared import MODULE, SoftmaxAttention


@component("attention:mha", module=MODULE, capabilities=["causal", "cache"])
class mha(SoftmaxAttention):
    """Multi-head attention: every query head has keys and values of its own.

    Source: Vaswani et al. 2017, "Attention is all you need", section 3.2.2.
    """

    @property
    def kv_heads(self) -> int:
        return self.heads
