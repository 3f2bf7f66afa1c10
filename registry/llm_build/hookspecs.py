"""The hooks that a plugin may implement. The version of this interface is in the name of the entry-point group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pluggy

from llm_build.components import Problem

FAMILY = "llm_build.v"
GROUP = f"{FAMILY}1"

Rule = Callable[[Any], Iterator[Problem]]
"""A whole resolved spec → every problem of it; each names its place by a path: "model.layers[3].attention.heads"."""

hookspec = pluggy.HookspecMarker("llm_build")


@hookspec
def llm_components() -> Mapping[str, str] | Iterable[type]:  # type: ignore[empty-body]
    """Return config classes, or a mapping "slot:name" → "module:Class" whose classes are imported on use."""


@hookspec
def llm_rules() -> Iterable[Rule]:  # type: ignore[empty-body]
    """Return functions that are given each whole resolved spec, read-only, and yield a `Problem` for what is wrong."""
