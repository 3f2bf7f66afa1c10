"""What a seeded bug is."""

from __future__ import annotations

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
