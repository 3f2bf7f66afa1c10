"""The dense cache's config."""

from __future__ import annotations

from llm_build import Config, component


@component("cache:dense", module="llm_build_plugins.generate.dense_module:DenseCache")
class dense(Config):
    """One cell a token, in order: every row has room for the whole capacity from the start."""
