"""The block's config."""

from __future__ import annotations

from llm_build import Config, Context, component, part, text


@component("block:block", module="llm_build_plugins.model.block_module:Block", capabilities=["causal", "cache"])
class block(Config):
    """One layer: an attention branch, then a feed-forward branch, on a residual stream.

    `norm` is a recipe for the placement, which makes one a branch. Blocks of a stack with the same `share` are one
    module and must be equal. Source: Vaswani et al. 2017, "Attention is all you need", section 3.1.
    """

    placement: Config = part("placement", default="pre")
    norm: Config = part("norm", default="rms")
    attention: Config = part("attention")
    ffn: Config = part("ffn")
    share: str | None = text(optional=True, doc="blocks with the same name share their weights")

    def inside(self, field: str, context: Context) -> Context:
        if field == "placement":
            return context.provide(norm=self.norm).with_(branches=("attention", "ffn"))
        return context
