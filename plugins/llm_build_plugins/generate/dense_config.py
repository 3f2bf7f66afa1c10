"""The dense cache's config."""

from __future__ import annotations

from typing import Any

from llm_build import Config, component, part


@component("cache:dense", module="llm_build_plugins.generate.dense_module:DenseCache")
class dense(Config):
    """One cell a token, in order: every row has room for the whole capacity from the start.

    What reads the latest tokens alone has a ring of as many cells, and one call's more.
    """

    codec: Any = part("codec", default="raw", doc="how the numbers of keys and values are stored")
