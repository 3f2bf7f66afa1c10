"""Whether the components that a checkpoint was made with are here, asked before its spec and its weights are read."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llm_build.discovery import VARIABLE, normal
from llm_build.errors import RunError
from llm_build.registry import Entry, installed

ID = re.compile(r"\w+:[\w.]+", re.ASCII)
PLAIN = re.compile(r"\w[\w.!+-]*", re.ASCII)
"""Names and versions that may stand in a line for a shell: a stranger's file may hold anything."""


def refuse_missing(versions: Path) -> None:
    """Compare versions.json with what is installed.

    Raises `RunError` with every component that is missing, or whose version (which goes up when its figures or the
    names of its weights change) is another, and with what brings it.
    """
    faults = list(_faults(_components(versions)))
    if faults:
        raise RunError(f"{versions.parent} needs components that are not here: {'; '.join(faults)}")


def _components(versions: Path) -> Mapping[str, Mapping[str, Any]]:
    try:
        found = json.loads(versions.read_text(encoding="utf-8"))["components"]
        if not all(ID.fullmatch(identity) and isinstance(each, dict) for identity, each in found.items()):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise RunError(f"{versions} must list the components of a run, and it does not") from fault
    return found  # type: ignore[no-any-return]


def _faults(components: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for identity, made in components.items():
        slot, _, name = identity.partition(":")
        here = installed().find(slot, name)
        if here is None:
            yield f"{identity}, {_brought(made)}"
        elif (version := _version(here)) != made.get("version"):
            yield f"{identity} of version {made.get('version')} (version {version} is installed), {_brought(made)}"


def _version(entry: Entry) -> int:
    return entry.config().__component__.version


def _brought(made: Mapping[str, Any]) -> str:
    distribution, version = made.get("distribution"), made.get("distribution_version")
    if not distribution:
        return "which was made in Python: name its module with --plugin, or open it with open_run(…, config=…)"
    if not version:
        return f"which a plugin that was named brought: --plugin {shlex.quote(str(distribution))}"
    if here := _unused(str(distribution)):
        return f"which {here}"
    if not (PLAIN.fullmatch(str(distribution)) and PLAIN.fullmatch(str(version))):
        return "and the distribution that brought it has no name that pip takes"
    return f'which {distribution} {version} brought: pip install "{distribution}=={version}"'


def _unused(distribution: str) -> str:
    """Why nothing of a distribution that is here is used, and what to do; "" where it is used, or is not here."""
    for each in installed().plugins:
        if normal(each.owner.distribution) == normal(distribution):
            if each.left_out:
                return f"{each.owner} brings, and that is left out by {VARIABLE}: add {each.owner.distribution} to it"
            if each.fault is not None and not each.fault.usable:
                return f"{each.owner} brings, and that cannot be used: {each.fault.message}; {each.fault.remedy}"
    return ""
