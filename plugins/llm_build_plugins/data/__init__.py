"""Training data: text files, and the standard library that every Python brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.data.files_config import files as files
    from llm_build_plugins.data.python_stdlib_config import python_stdlib as python_stdlib

llm_components, __getattr__ = plugin(
    {
        "data:files": "llm_build_plugins.data.files_config:files",
        "data:python_stdlib": "llm_build_plugins.data.python_stdlib_config:python_stdlib",
    }
)
