"""Where two filled configs differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from llm_build.components.config import Config
from llm_build.components.fields import field_specs
from llm_build.components.kinds import Kind, ManyKind, PathKind

PASSED_ON = frozenset({"inherited", "derived"})


@attrs.frozen
class Difference:
    """`path` holds one value here, and another there. `kind` is that of the field; None for a whole component."""

    path: str
    here: Any
    there: Any
    kind: Kind | None = None

    @property
    def of_paths(self) -> bool:
        """Whether it only says where files lie."""
        kind = self.kind.of if isinstance(self.kind, ManyKind) else self.kind
        return isinstance(kind, PathKind)

    def __str__(self) -> str:
        return f"{self.path} is {_shown(self.here)}, not {_shown(self.there)}"


def differences(here: Config | None, there: Config | None, path: str = "") -> Iterator[Difference]:
    """Every place where two filled configs differ, by its path.

    What one inherits or derives is left out: the value that it follows from is there already.
    """
    if here is None or there is None or type(here) is not type(there):
        if here is not there:
            yield Difference(path, here, there)
        return
    for name, field in field_specs(here).items():
        if not {here.origin(name).kind, there.origin(name).kind} <= PASSED_ON:
            yield from _of_values(getattr(here, name), getattr(there, name), f"{path}.{name}".lstrip("."), field.kind)


def _of_values(here: Any, there: Any, path: str, kind: Kind) -> Iterator[Difference]:
    if isinstance(here, Config) or isinstance(there, Config):
        yield from differences(_config(here), _config(there), path)
    elif _parts(here) and _parts(there) and len(here) == len(there):
        for index, pair in enumerate(zip(here, there, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif here != there:
        yield Difference(path, here, there, kind)


def _config(value: Any) -> Config | None:
    return value if isinstance(value, Config) else None


def _parts(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, Config) for each in value)


def _shown(value: Any) -> str:
    if isinstance(value, Config):
        return value.__component__.name
    if isinstance(value, tuple) and value and _parts(value):
        return f"{len(value)} components"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else f'"{value}"' if isinstance(value, str) else str(value)
