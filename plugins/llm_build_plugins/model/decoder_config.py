"""The decoder's config."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, can, component, number, part, parts, size
from llm_build_plugins.model._advice import ragged_vocab


@component("model:decoder", module="llm_build_plugins.model.decoder_module:Decoder", capabilities=["causal", "cache"])
class decoder(Config):
    """A decoder-only language model: embedding, a stack of blocks, a final norm, a head.

    `position` is handed down to the attentions where it rotates, and added after the embedding where it is additive.
    Source: Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.3.
    """

    dim: int = size(high=2**20, example=256, doc="the width of the residual stream")
    vocab: int = size(high=2**24, inherit="vocab", doc="rows of the embedding; the tokenizer's unless stated")
    context: int = size(high=2**30, example=1_024, doc="the longest sequence, in tokens")
    dropout: float = number(low=0, below=1, default=0, doc="after the embedding, of attention weights and of branches")
    position: Config | None = part("position", optional=True)
    embedding: Config = part("embedding", default="token")
    layers: tuple[Config, ...] = parts("block", doc="the stack, from the embedding upwards")
    norm: Config = part("norm", doc="the final norm")
    head: Config = part("head", default="linear")
    initialiser: Config = part("initialiser", default="normal")

    def inside(self, field: str, context: Context) -> Context:
        inner = context.provide(dim=self.dim, vocab=self.vocab, context=self.context, dropout=self.dropout, causal=True)
        if field == "layers":
            return inner.provide(position=self.position if can(self.position, "rotary") else None)
        if field == "initialiser":
            return inner.with_(depth=len(self.layers))
        return inner

    def check_embedding(self, context: Context) -> Iterator[Problem]:
        if getattr(self.embedding, "shared", False):
            yield Problem(
                field="embedding",
                message="shared is for a model with two stacks that read tokens; a decoder has one",
                help="leave shared out",
            )

    def check_vocab(self, context: Context) -> Iterator[Problem]:
        return ragged_vocab(self)
