"""The hooks that a plugin may implement. The version of this interface is in the name of the entry-point group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pluggy

GROUP = "llm_build.v1"

hookspec = pluggy.HookspecMarker("llm_build")


@hookspec
def llm_components() -> Mapping[str, str] | Iterable[type]:  # type: ignore[empty-body]
    """Return config classes, or a mapping "slot:name" → "module:Class" whose classes are imported on use."""
