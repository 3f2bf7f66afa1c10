"""The config of the gated delta rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llm_build import Config, Context, Problem, component, divided, part, size
from llm_build_plugins.attention._shared import HEADS, ragged_head


def all_heads(config: Any, _context: Any) -> int:
    heads: int = config.heads
    return heads


def as_wide_as_keys(config: Any, _context: Any) -> int:
    head_dim: int = config.head_dim
    return head_dim


@component(
    "attention:gated_delta",
    module="llm_build_plugins.attention.gated_delta_module:GatedDelta",
    capabilities=["causal", "cache"],
)
class gated_delta(Config):
    """Gated DeltaNet: a recurrence whose cost a token does not grow with the sequence; each head keeps one matrix.

    The matrix fades by a gate α, and at key k what it holds is moved towards value v by a share β, with
    α = exp(-exp(a_log) · softplus(a(x) + dt_bias)) and β = sigmoid(b(x)). Queries, keys and values go through a short
    causal convolution; queries and keys are then of length 1. The place of a token follows from the recurrence: no
    position acts here. Source: Yang, Kautz and Hatamizadeh 2024, "Gated Delta Networks" (arXiv 2412.06464), section 3,
    in the form of Qwen3-Next: queries are divided by sqrt(head_dim), and outputs normed before their gate.
    """

    heads: int = size(high=HEADS, example=8, doc="heads of queries and keys")
    value_heads: int = size(high=HEADS, derive=all_heads, says="heads", doc="heads of values, and matrices kept")
    head_dim: int = size(high=HEADS, derive=divided("dim", by="heads"), says="dim / heads", doc="of queries and keys")
    value_dim: int = size(high=HEADS, derive=as_wide_as_keys, says="head_dim", doc="of a head's values")
    conv: int = size(low=2, high=64, default=4, doc="tokens that the convolution sees, its own among them")
    norm: Config = part("norm", default="rms", doc="of each head's output, before its gate")

    def inside(self, field: str, context: Context) -> Context:
        return context.with_(dim=self.value_dim)

    def check(self, context: Context) -> Iterator[Problem]:
        if context.memory is not None:
            yield Problem(
                field="",
                message="a recurrence mixes its own sequence; here a memory is to be read",
                help="write cross = gqa { … }",
            )
        elif not context.causal:
            yield Problem(
                field="",
                message="a recurrence sees only what came before; here a position may see what comes after, too",
                help="write attention = gqa { … }",
            )
        if self.value_dim < 2:
            yield Problem(
                field="value_dim",
                message=f"a norm of one number is its sign: value_dim must be at least 2; {self.value_dim} arrived",
                help="write a larger value_dim, or fewer heads",
                related=("heads",),
            )
        if self.value_heads % self.heads:
            yield Problem(
                field="value_heads",
                message=f"value_heads must be a multiple of heads = {self.heads}; {self.value_heads} arrived",
                help=f"value_heads may be {', '.join(str(each * self.heads) for each in (1, 2, 4))}, …",
                code="E302",
                related=("heads",),
            )

    def check_head_dim(self, context: Context) -> Iterator[Problem]:
        return ragged_head(self, context)
