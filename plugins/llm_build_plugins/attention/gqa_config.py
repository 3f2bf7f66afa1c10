"""Grouped-query attention's config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llm_build import Context, Problem, component, divisors, size
from llm_build_plugins.attention._shared import HEADS, MODULE, SoftmaxAttention


def all_heads(config: Any, _context: Any) -> int:
    heads: int = config.heads
    return heads


@component("attention:gqa", module=MODULE, capabilities=["causal", "cache"])
class gqa(SoftmaxAttention):
    """Grouped-query attention: heads / kv_heads query heads share each head of keys and values.

    Source: Ainslie et al. 2023, "GQA", section 2.2; the attention itself is Vaswani et al. 2017, section 3.2.
    """

    kv_heads: int = size(high=HEADS, derive=all_heads, says="heads", doc="key and value heads")

    def check(self, context: Context) -> Iterator[Problem]:
        yield from SoftmaxAttention.check(self, context)
        if self.heads % self.kv_heads:
            yield Problem(
                field="kv_heads",
                message=f"kv_heads must divide heads = {self.heads}; {self.kv_heads} arrived",
                help=f"kv_heads may be {divisors(self.heads)}",
                code="E302",
                related=("heads",),
            )
