"""The paged cache's config."""

from __future__ import annotations

from typing import Any

from llm_build import Config, component, part, size


@component("cache:paged", module="llm_build_plugins.generate.paged_module:PagedCache")
class paged(Config):
    """Pages of a shared pool: a row has as many as its text takes, and rows that were forked share what they have read.

    What reads the latest tokens alone has a ring, as in the dense cache. With fewer `pages` than all rows may need, a
    text that is to be written waits until there are enough for all of it.
    Source: Kwon et al. 2023, "Efficient Memory Management for Large Language Model Serving with PagedAttention",
    sections 4.1 to 4.4.
    """

    page: int = size(default=16, high=2**16, doc="tokens of a page")
    pages: int | None = size(
        default=None, optional=True, high=2**40, doc="pages of the pool; none: enough for every row at full length"
    )
    codec: Any = part("codec", default="raw", doc="how the numbers of keys and values are stored")
