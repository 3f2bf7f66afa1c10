"""What a seeded bug is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Bug:
    """`old`, which stands once in `file` (a path from the root), becomes `new`; `component` is then wrong."""

    name: str
    component: str
    file: str
    old: str
    new: str

    @property
    def slot(self) -> str:
        return self.component.partition(":")[0]


def bugs_of(component: str, file: str, changes: Mapping[str, tuple[str, str]]) -> list[Bug]:
    """Several bugs of one component in one file: what stands there and what takes its place, by name."""
    return [Bug(name=name, component=component, file=file, old=old, new=new) for name, (old, new) in changes.items()]
