"""The list of all that is installed, what cannot be used, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from llm_build.errors import PluginError
from llm_build.registry import Entry, Owner, Registry


@attrs.frozen(kw_only=True)
class Row:
    """One component, and who brings it."""

    distribution: str
    version: str
    entry: str
    slot: str
    component: str
    capabilities: tuple[str, ...]
    doc: str
    """The first line of its documentation."""


@attrs.frozen(kw_only=True)
class Failure:
    """A plugin, or one of its components, that cannot be used."""

    distribution: str
    version: str
    entry: str
    reason: str

    def __str__(self) -> str:
        return f"{self.entry} of {f'{self.distribution} {self.version}'.strip()}: {self.reason}"


@attrs.frozen
class Listing:
    """`twice` says of each id that several plugins claim who they are."""

    rows: Sequence[Row]
    failed: Sequence[Failure]
    twice: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        return {
            "components": [attrs.asdict(each) for each in self.rows],
            "failed": [attrs.asdict(each) for each in self.failed],
            "claimed_twice": list(self.twice),
        }


def listing(registry: Registry, slot: str | None = None) -> Listing:
    """Every component, or those of a slot, by slot and name; every failure. Each config class is imported for it."""
    rows, failed = [], [_failure(each.owner, each.message) for each in registry.faults]
    for entry in registry.entries():
        if slot in (None, entry.slot):
            try:
                rows.append(_row(entry))
            except PluginError as fault:
                failed.append(_failure(entry.owner, str(fault)))
    return Listing(rows, failed, list(_twice(registry, slot)))


def _row(entry: Entry) -> Row:
    info = entry.config().__component__
    return Row(
        **_named(entry.owner),
        slot=entry.slot,
        component=entry.name,
        capabilities=tuple(sorted(info.capabilities)),
        doc=next(iter(info.doc.splitlines()), ""),
    )


def _failure(owner: Owner, reason: str) -> Failure:
    return Failure(**_named(owner), reason=reason)


def _named(owner: Owner) -> dict[str, str]:
    return {"distribution": owner.distribution, "version": owner.version, "entry": owner.entry}


def _twice(registry: Registry, slot: str | None) -> Iterator[str]:
    for each in registry.slots() if slot is None else [slot]:
        for name in registry.names(each):
            try:
                registry.find(each, name)
            except PluginError as fault:
                yield str(fault)
