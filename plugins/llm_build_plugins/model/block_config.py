"""The block's config."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, component, flag, part, text


@component("block:block", module="llm_build_plugins.model.block_module:Block", capabilities=["causal", "cache"])
class block(Config):
    """One layer: an attention branch, then a feed-forward branch, on a residual stream; `cross` stands between them.

    `norm` is a recipe for the placement, which makes one a branch. Blocks of a stack with the same `share` are one
    module and must be equal. `checkpoint` is activation checkpointing (Chen et al. 2016, "Training deep nets with
    sublinear memory cost"): the same gradients from less memory, for about a third more time.
    Source: Vaswani et al. 2017, "Attention is all you need", section 3.1.
    """

    placement: Config = part("placement", default="pre")
    norm: Config = part("norm", default="rms")
    attention: Config = part("attention", example="gqa { heads = 8 }")
    cross: Config | None = part(
        "attention", default=None, optional=True, doc="attention over what the encoder made, in a decoder stack"
    )
    ffn: Config = part("ffn")
    checkpoint: bool = flag(default=False, doc="while training, compute activations again rather than keep them")
    share: str | None = text(optional=True, doc="blocks with the same name share their weights")

    def branches(self) -> tuple[str, ...]:
        """The names of the branches, in their order."""
        return ("attention", "ffn") if self.cross is None else ("attention", "cross", "ffn")

    def inside(self, field: str, context: Context) -> Context:
        if field == "placement":
            return context.provide(norm=self.norm).with_(branches=self.branches())
        if field == "cross":
            return context.provide(position=None, causal=False, memory=context.encoder_dim)
        return context

    def check(self, context: Context) -> Iterator[Problem]:
        if self.cross is not None and context.encoder_dim is None:
            yield Problem(
                field="cross",
                message="cross reads what an encoder made, and there is none here",
                help="leave it out, or put the block into the decoder stack of an encoder_decoder",
            )
