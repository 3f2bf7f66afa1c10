"""Training data: text files, pairs, Project Gutenberg's books, Python's own library, and mixtures of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.data.files_config import files as files
    from llm_build_plugins.data.gutenberg_config import gutenberg as gutenberg
    from llm_build_plugins.data.mixture_config import mixture as mixture
    from llm_build_plugins.data.pairs_config import pairs as pairs
    from llm_build_plugins.data.python_stdlib_config import python_stdlib as python_stdlib

llm_components, __getattr__ = plugin(
    {
        "data:files": "llm_build_plugins.data.files_config:files",
        "data:gutenberg": "llm_build_plugins.data.gutenberg_config:gutenberg",
        "data:mixture": "llm_build_plugins.data.mixture_config:mixture",
        "data:pairs": "llm_build_plugins.data.pairs_config:pairs",
        "data:python_stdlib": "llm_build_plugins.data.python_stdlib_config:python_stdlib",
    }
)
