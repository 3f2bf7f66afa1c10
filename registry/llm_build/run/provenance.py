"""What made a run: versions, who brings each component of its spec, where it computed, on what text, from what run."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import torch

from llm_build import __version__
from llm_build.components import Config, PathKind, field_specs, id_of, walk
from llm_build.corpus import Contents
from llm_build.registry import installed
from llm_build.run.compute import Compute


def provenance(
    spec: Any, compute: Compute, contents: Mapping[str, Contents], init: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Python, torch, llm-build, and by its id every component with its version, distribution and that one's version.

    Besides, what decides each loss: "compute" says where and how, "data" which text, "tokenizer_files" the SHA-256 of
    what the tokenizer was read from. "init" is the run that the weights come from, or None.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "llm_build": __version__,
        "compute": compute.described(),
        "data": {name: attrs.asdict(each) for name, each in contents.items()},
        "tokenizer_files": tokenizer_files(spec),
        "init": init,
        "components": {id_of(each): _component(each) for each in walk(spec) if each is not spec},
    }


def tokenizer_files(spec: Any) -> dict[str, str]:
    """The SHA-256 of each file that the tokenizer of a spec names and that is there."""
    named = {
        str(getattr(config, name))
        for config in ([] if spec.tokenizer is None else walk(spec.tokenizer))
        for name, field in field_specs(config).items()
        if isinstance(field.kind, PathKind) and getattr(config, name) is not None
    }
    return {each: sha256(Path(each).read_bytes()).hexdigest() for each in sorted(named) if Path(each).is_file()}


def _component(config: Config) -> dict[str, Any]:
    info = config.__component__
    entry = installed().find(info.slot, info.name)
    if entry is None:  # made in Python, by a class that no plugin registered
        return {"version": info.version, "distribution": None, "distribution_version": None}
    owner = entry.owner
    return {"version": info.version, "distribution": owner.distribution, "distribution_version": owner.version}
