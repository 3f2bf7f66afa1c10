"""The linear head's config."""

from __future__ import annotations

from llm_build import Config, component, flag, number


@component("head:linear", module="llm_build_plugins.head.linear_module:LinearHead")
class linear(Config):
    """A linear map from hidden vectors to logits. With `tie` its matrix is the embedding's.

    Source of tying: Press and Wolf 2016, "Using the output embedding to improve language models", section 2.
    """

    bias: bool = flag(default=False)
    tie: bool = flag(default=False, doc="use the embedding's matrix; nothing of its own but the bias")
    scale: float | None = number(optional=True, above=0, doc="what the logits are multiplied by")
