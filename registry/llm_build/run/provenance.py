"""What made a run: versions, who brings each component of its spec, and the run that it started from."""

from __future__ import annotations

import platform
from typing import Any

import torch

from llm_build import __version__
from llm_build.components import Config, id_of, walk
from llm_build.registry import installed
from llm_build.run.origin import Origin


def provenance(spec: Config, origin: Origin | None = None) -> dict[str, Any]:
    """Python, torch, llm-build, and by its id every component with its version, distribution and that one's version.

    "init" is the run that the weights come from, or None.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "llm_build": __version__,
        "init": None if origin is None else origin.described(),
        "components": {id_of(each): _component(each) for each in walk(spec) if each is not spec},
    }


def _component(config: Config) -> dict[str, Any]:
    info = config.__component__
    entry = installed().find(info.slot, info.name)
    if entry is None:  # made in Python, by a class that no plugin registered
        return {"version": info.version, "distribution": None, "distribution_version": None}
    owner = entry.owner
    return {"version": info.version, "distribution": owner.distribution, "distribution_version": owner.version}
