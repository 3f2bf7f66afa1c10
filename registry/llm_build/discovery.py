"""Where plugins are found: the entry points of installed distributions, and a list in the working directory.

Entry points are read straight from the `*.dist-info` folders. `importlib.metadata` gives the same (a test says so) but
imports an e-mail parser, sockets and zip files for it, a fifth of the time that `check` may take.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import attrs

from llm_build.errors import PluginError

VARIABLE = "LLM_BUILD_PLUGINS"
LIST = "pyproject.toml"
# tomllib takes its time, and most projects list no plugin
_MENTIONED = re.compile(rb"""^\s*(\[\s*)?(tool\s*\.\s*)?["']?llm-build["']?\s*([].]|=\s*\{)""", re.MULTILINE)


@attrs.frozen(eq=False)
class Found:
    """One entry point: its name, what it names ("package.module" or "package.module:object"), and who declares it."""

    name: str
    value: str
    group: str
    distribution: str
    version: str


def entry_points(family: str) -> Iterator[Found]:
    """The entry points of every group whose name begins with `family`.

    Of a distribution that two folders of the path hold, the first counts.
    """
    seen: set[str] = set()
    for folder in dict.fromkeys(sys.path):
        for info in _infos(folder or "."):
            name, _, version = os.path.basename(info).removesuffix(".dist-info").partition("-")
            key = normal(name)
            if key in seen:
                continue
            seen.add(key)
            for group, line in _lines(os.path.join(info, "entry_points.txt"), family):
                point, _, value = line.partition("=")
                yield Found(point.strip(), value.strip(), group, name.replace("_", "-"), version)


def normal(name: str) -> str:
    """A distribution's name as installers compare it: `Acme_Norm` and `acme-norm` are one."""
    return re.sub(r"[-_.]+", "-", name).lower()


def allowed() -> frozenset[str] | None:
    """The distributions that `LLM_BUILD_PLUGINS` lists, as `normal` gives them; None where it is not set.

    Set and empty it allows none. It never concerns the built-ins, nor what `--plugin` names.
    """
    listed = os.environ.get(VARIABLE)
    if listed is None:
        return None
    return frozenset(normal(each.strip()) for each in listed.split(",") if each.strip())


def listed_here() -> list[str]:
    """The files and modules in `[tool.llm-build] plugins` of the working directory's pyproject.toml, and no other's.

    Raises `PluginError` where the file cannot be read or lists something else.
    """
    try:
        with open(LIST, "rb") as file:
            content = file.read()
    except OSError:  # most folders have none
        return []
    if not _MENTIONED.search(content):
        return []
    import tomllib

    try:
        table = tomllib.loads(content.decode()).get("tool", {}).get("llm-build", {})
    except ValueError as fault:
        raise PluginError(f"{LIST} cannot be read: {fault}") from fault
    if not _is_list(table):
        raise PluginError(f'[tool.llm-build] of {LIST} holds plugins = ["FILE_OR_MODULE", …] and nothing else')
    return list(table["plugins"])


def _is_list(table: Any) -> bool:
    names = table.get("plugins") if isinstance(table, dict) and len(table) == 1 else None
    return isinstance(names, list) and all(isinstance(each, str) and each for each in names)


def _infos(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(each.path for each in entries if each.name.endswith(".dist-info"))
    except OSError:  # a path entry may be a zip file, or gone
        return []


def _lines(path: str, family: str) -> Iterator[tuple[str, str]]:
    """The lines of an ini file in sections of a family, each after its section; neither empty lines nor comments."""
    try:
        # a distribution that is not even text must not stop the others
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file]
    except OSError:  # most distributions declare none
        return
    group = ""
    for line in lines:
        if line.startswith("["):
            group = line[1:-1]
        elif group.startswith(family) and line and not line.startswith("#"):
            yield group, line
