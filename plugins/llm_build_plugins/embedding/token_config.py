"""The token embedding's config."""

from __future__ import annotations

from llm_build import Config, component, flag, number


@component("embedding:token", module="llm_build_plugins.embedding.token_module:TokenEmbedding")
class token(Config):
    """One vector a token, multiplied by `scale` where that is set (sqrt(dim) in the 2017 Transformer and in Gemma).

    Source: Vaswani et al. 2017, "Attention is all you need", section 3.4.
    """

    shared: bool = flag(default=False, doc="one table for the encoder and the decoder of an encoder_decoder")
    scale: float | None = number(optional=True, above=0, doc="what the vectors are multiplied by")
