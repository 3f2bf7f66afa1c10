"""Multi-head latent attention's config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llm_build import Config, Context, Problem, component, number, part, size
from llm_build_plugins.attention._shared import HEADS, LARGE, TILE, fits, usual_mask


def as_wide_as_keys(config: Any, _context: Any) -> int:
    nope: int = config.nope
    return nope


def inverse_root(config: Any, _context: Any) -> float:
    scale: float = (config.nope + config.rope) ** -0.5
    return scale


@component(
    "attention:mla",
    module="llm_build_plugins.attention.mla_module:LatentAttention",
    capabilities=["causal", "cache"],
)
class mla(Config):
    """Multi-head latent attention: of each token one latent is kept, which all heads make their keys and values of.

    A key is `nope` numbers of a head's own, made from the latent, and `rope` that rotate and are shared by all heads;
    a query has both too. What is kept a token are kv_rank + rope numbers, however many heads there are.
    Source: DeepSeek-AI 2024, "DeepSeek-V2" (arXiv 2405.04434), section 2.1; "DeepSeek-V3 Technical Report" (arXiv
    2412.19437), section 2.1.1. Without `q_rank` queries come straight from x, as in DeepSeek-V2-Lite.
    """

    heads: int = size(high=HEADS, example=8)
    q_rank: int | None = size(high=2**20, optional=True, doc="width of the latent of queries; none: there is none")
    kv_rank: int = size(high=2**20, example=128, doc="width of the latent of keys and values")
    nope: int = size(high=HEADS, example=32, doc="numbers of a head's query and key that do not rotate")
    rope: int = size(high=HEADS, example=16, doc="numbers of a query that rotate, and of the one key that heads share")
    v: int = size(high=HEADS, derive=as_wide_as_keys, says="nope", doc="numbers of a head's value")
    norm: Config = part("norm", default="rms", doc="of each latent")
    dropout: float = number(low=0, below=1, inherit="dropout", doc="of the attention weights, while training")
    position: Config | None = part("position", inherit="position", optional=True, once=True)
    mask: Config = part("mask", derive=usual_mask, says="causal in a decoder, full in an encoder")
    scale: float = number(
        above=0, derive=inverse_root, says="1 / sqrt(nope + rope)", doc="what the scores are multiplied by"
    )

    def inside(self, field: str, context: Context) -> Context:
        if field == "norm":
            return context.with_(dim=self.kv_rank)
        if field == "position":
            return context.with_(heads=self.heads, head_dim=self.rope)
        return context

    def check(self, context: Context) -> Iterator[Problem]:
        if context.memory is not None:
            yield Problem(
                field="",
                message="latent attention mixes its own sequence; here a memory is to be read",
                help="write cross = gqa { … }",
            )
            return
        yield from fits(self.mask, self.position, context)

    def check_widths(self, context: Context) -> Iterator[Problem]:
        if context.dim is None or context.dim < LARGE:
            return
        for name in ("kv_rank", "nope", "rope", "v"):
            width = getattr(self, name)
            if width % TILE and not (name == "v" and self.origin("v").kind == "derived"):
                lower = width // TILE * TILE
                yield Problem(
                    field=name,
                    message=f"a GPU is fast where {name} is a multiple of {TILE}; {width} arrived",
                    help=f"write {name} = {lower} or {lower + TILE}" if lower else f"write {name} = {TILE}",
                    severity="warning",
                    code="W305",
                )
