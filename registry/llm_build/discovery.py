"""The entry points of installed distributions, read straight from their `*.dist-info` folders.

`importlib.metadata` gives the same (a test says so) but imports an e-mail parser, sockets and zip files for it, a fifth
of the time that `check` may take.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import attrs


@attrs.frozen(eq=False)
class Found:
    """One entry point: its name, what it names ("package.module" or "package.module:object"), and who declares it."""

    name: str
    value: str
    distribution: str
    version: str


def entry_points(group: str) -> Iterator[Found]:
    """The entry points of a group. Of a distribution that two folders of the path hold, the first counts."""
    seen: set[str] = set()
    for folder in dict.fromkeys(sys.path):
        for info in _infos(folder or "."):
            name, _, version = os.path.basename(info).removesuffix(".dist-info").partition("-")
            key = name.lower().replace("-", "_").replace(".", "_")
            if key in seen:
                continue
            seen.add(key)
            for line in _section(os.path.join(info, "entry_points.txt"), group):
                point, _, value = line.partition("=")
                yield Found(point.strip(), value.strip(), name.replace("_", "-"), version)


def _infos(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(each.path for each in entries if each.name.endswith(".dist-info"))
    except OSError:  # a path entry may be a zip file, or gone
        return []


def _section(path: str, group: str) -> Iterator[str]:
    """The lines of a section of an ini file that are neither empty nor comments."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.strip() for line in file]
    except OSError:  # most distributions declare none
        return
    inside = False
    for line in lines:
        if line.startswith("["):
            inside = line == f"[{group}]"
        elif inside and line and not line.startswith("#"):
            yield line
