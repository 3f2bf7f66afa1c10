"""How a folder of built-ins offers its components: through the hook, and as names that are imported on first use."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from llm_build import hookimpl


def plugin(components: Mapping[str, str]) -> tuple[Callable[[], Mapping[str, str]], Callable[[str], Any]]:
    """The hook and the module `__getattr__` for a mapping "slot:name" → "module:Class"."""
    names = {identity.partition(":")[2]: place for identity, place in components.items()}

    @hookimpl
    def llm_components() -> Mapping[str, str]:
        return components

    def attribute(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"no built-in component is named {name!r} here: {', '.join(sorted(names))}")
        module, _, attribute = names[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    return llm_components, attribute
