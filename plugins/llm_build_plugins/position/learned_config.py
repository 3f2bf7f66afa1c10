"""Learned positions' config."""

from __future__ import annotations

from llm_build import Config, component


@component("position:learned", module="llm_build_plugins.position.learned_module:Learned", capabilities=["additive"])
class learned(Config):
    """One learned vector a position is added to the embeddings; there are as many as the model's context is long.

    Source: Radford et al. 2018, "Improving language understanding by generative pre-training", section 4.1, as in
    GPT-2.
    """
