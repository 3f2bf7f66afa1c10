"""Differential attention's config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llm_build import Config, Context, Problem, can, component, divisors, number, part, size


def half_share(config: Any, context: Context) -> int | Problem:
    """dim / (2 · heads): two maps of this width take the room of one head of usual attention."""
    dim: int = context.need("dim")
    if dim % (2 * config.heads) == 0:
        return dim // (2 * config.heads)
    return Problem(
        field="heads",
        message=f"2 · heads must divide dim = {dim}; 2 · {config.heads} arrived",
        help=f"heads may be {divisors(dim // 2)}" if dim % 2 == 0 else "state head_dim",
        code="E302",
        related=("dim",),
    )


@component(
    "attention:acme.differential",
    module="acme_differential.module:DifferentialAttention",
    capabilities=["causal", "cache"],
)
class differential(Config):
    """Differential attention: the difference of two softmax maps weighs the values, so that noise in both cancels.

    Source: Ye et al. 2024, "Differential Transformer" (arXiv 2410.05258), section 2.1.
    """

    heads: int = size(high=2**15, doc="pairs of maps")
    head_dim: int = size(
        high=2**15, derive=half_share, says="dim / (2 · heads)", doc="of queries and keys; values are twice as wide"
    )
    # equation 3 lets it rise with the layer, 0.8 - 0.6 · exp(-0.3 · (l - 1)); it then is written layer by layer
    lambda_init: float = number(default=0.8, low=0, below=1, doc="the weight of the second map to begin with")
    window: int | None = size(high=2**30, optional=True, doc="a query sees so many positions, its own among them")
    dropout: float = number(low=0, below=1, inherit="dropout", doc="of the attention weights, while training")
    position: Config | None = part("position", inherit="position", optional=True, once=True)

    def inside(self, field: str, context: Context) -> Context:
        return context.with_(heads=2 * self.heads, head_dim=self.head_dim)

    def check(self, context: Context) -> Iterator[Problem]:
        if context.memory is not None:
            yield Problem(
                field="",
                message="differential attention mixes its own sequence; here a memory is to be read",
                help="write cross = gqa { … }",
            )
        if self.position is not None and not can(self.position, "rotary"):
            yield Problem(
                field="position",
                message="differential attention takes a position that rotates queries and keys; this one does not",
                help="write position = rope",
            )
