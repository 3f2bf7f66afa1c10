"""The config of next-token prediction."""

from __future__ import annotations

from llm_build import Config, component


@component("objective:next_token", module="llm_build_plugins.train.next_token_module:NextToken")
class next_token(Config):
    """The mean cross-entropy of each next token in nats, with logits in float32; padding does not count."""
