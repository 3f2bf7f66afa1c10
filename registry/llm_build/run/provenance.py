"""Which software made a run: versions, and who brings each component of its spec."""

from __future__ import annotations

import platform
from typing import Any

import torch

from llm_build import __version__
from llm_build.components import Config, id_of, walk
from llm_build.registry import installed


def provenance(spec: Config) -> dict[str, Any]:
    """Python, torch, llm-build, and by its id every component with its version, distribution and that one's version."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "llm_build": __version__,
        "components": {id_of(each): _component(each) for each in walk(spec) if each is not spec},
    }


def _component(config: Config) -> dict[str, Any]:
    info = config.__component__
    entry = installed().find(info.slot, info.name)
    if entry is None:  # made in Python, by a class that no plugin registered
        return {"version": info.version, "distribution": None, "distribution_version": None}
    owner = entry.owner
    return {"version": info.version, "distribution": owner.distribution, "distribution_version": owner.version}
