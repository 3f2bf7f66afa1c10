"""What multi-head, multi-query and grouped-query attention have in common: all but the number of key heads."""

# ruff: noqa: RUF009 (part() and the others make attrs fields, as attrs.field does)

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from llm_build import Config, Context, Problem, can, divided, divisors, flag, number, part, size
from llm_build_plugins.attention.mask_config import full

LARGE = 256
"""Models narrower than this wait for a GPU's launches, not for its products: advice on those is for wider ones."""
TILE = 8
"""Numbers of 2 bytes that tensor cores and attention kernels load at once."""
MODULE = "llm_build_plugins.attention.gqa_module:attention"
HEADS = 2**16


def inverse_root(config: Any, _context: Any) -> float:
    scale: float = config.head_dim**-0.5
    return scale


def usual_mask(_config: Any, context: Any) -> str:
    return "causal" if context.causal else "full"


def fits(mask: Config, position: Config | None, context: Context) -> Iterator[Problem]:
    """What is wrong with the mask and the position of an attention over its own sequence."""
    if context.causal and not can(mask, "causal"):
        yield Problem(
            field="mask",
            message="here a position may see only itself and what came before; this mask shows what comes after",
            help="write mask = causal",
        )
    if position is not None and not can(position, "rotary"):
        yield Problem(
            field="position",
            message="attention takes a position that rotates queries and keys; this one does not",
            help="write position = rope",
        )


def ragged_head(config: Any, context: Context) -> Iterator[Problem]:
    """A warning where a head's width fills no whole number of a GPU's loads."""
    width = config.head_dim
    if context.dim is None or context.dim < LARGE or width % TILE == 0:
        return
    derived = config.origin("head_dim").kind == "derived"
    even = context.dim % TILE == 0
    yield Problem(
        field="heads" if derived else "head_dim",
        message=f"a GPU is fast where head_dim is a multiple of {TILE}; {width} arrived",
        help=f"heads may be {divisors(context.dim // TILE)}" if derived and even else _other_head_dim(width),
        severity="warning",
        code="W305",
        related=("dim",) if derived else (),
    )


def _other_head_dim(width: int) -> str:
    below = width // TILE * TILE
    return f"write head_dim = {below} or {below + TILE}" if below else f"write head_dim = {TILE}"


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SoftmaxAttention(Config):
    """Softmax attention over the keys of a sequence, or of a memory; subclasses say how many key heads there are."""

    heads: int = size(high=HEADS, example=8, doc="query heads")
    head_dim: int = size(high=HEADS, derive=divided("dim", by="heads"), says="dim / heads")
    bias: bool = flag(default=False, doc="a bias on all four projections")
    dropout: float = number(low=0, below=1, inherit="dropout", doc="of the attention weights, while training")
    position: Config | None = part("position", inherit="position", optional=True, once=True)
    mask: Config = part("mask", derive=usual_mask, says="causal in a decoder, full in an encoder and over a memory")
    scale: float = number(
        above=0, derive=inverse_root, says="1 / sqrt(head_dim)", doc="what the scores are multiplied by"
    )
    softcap: float | None = number(above=0, optional=True, doc="scores are squashed into ±softcap by tanh")
    sinks: bool = flag(default=False, doc="a learned logit a head that takes weight and gives nothing")
    qk_norm: Config | None = part("norm", optional=True, doc="norms of queries and of keys over head_dim")

    def inside(self, field: str, context: Context) -> Context:
        if field == "qk_norm":
            return context.with_(dim=self.head_dim)
        if field == "position":
            return context.with_(heads=self.heads, head_dim=self.head_dim)
        return context

    def check(self, context: Context) -> Iterator[Problem]:
        if context.memory is not None:
            yield from self._over_memory()
            return
        yield from fits(self.mask, self.position, context)

    def check_head_dim(self, context: Context) -> Iterator[Problem]:
        return ragged_head(self, context)

    def _over_memory(self) -> Iterator[Problem]:
        if not isinstance(self.mask, full):
            yield Problem(
                field="mask",
                message="a memory has no order against what reads it, so all of it is seen; this mask hides some",
                help="write mask = full, or leave it out",
            )
        if self.position is not None:
            yield Problem(
                field="position",
                message="a memory has no place in the sequence that reads it, so there is nothing to rotate",
                help="write position = none, or leave it out",
            )
