"""The list of all that is installed, what cannot be used, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from llm_build.errors import PluginError
from llm_build.registry import Entry, Owner, Registry


@attrs.frozen(kw_only=True)
class Brought:
    """Something that a plugin brings, or fails to."""

    distribution: str
    version: str
    entry: str

    @property
    def who(self) -> str:
        return f"{self.distribution} {self.version}".strip()


@attrs.frozen(kw_only=True)
class Row(Brought):
    """One component, and who brings it."""

    slot: str
    component: str
    capabilities: tuple[str, ...]
    doc: str
    """The first line of its documentation."""


@attrs.frozen(kw_only=True)
class Failure(Brought):
    """What is wrong with a plugin, or with one of its components. With `usable` it is used all the same."""

    reason: str
    remedy: str
    usable: bool

    def __str__(self) -> str:
        return f"{self.entry} of {self.who}: {self.reason}; {self.remedy}"


@attrs.frozen(kw_only=True)
class Rule(Brought):
    """A check over whole specs, and who brings it."""

    rule: str

    def __str__(self) -> str:
        return f"{self.rule} of {self.who}"


@attrs.frozen(kw_only=True)
class Listing:
    """`twice` says of each id that several plugins claim who they are, `left_out` whom the allow list leaves out."""

    rows: Sequence[Row]
    rules: Sequence[Rule]
    failed: Sequence[Failure]
    twice: Sequence[str]
    left_out: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        return {
            "components": [attrs.asdict(each) for each in self.rows],
            "rules": [attrs.asdict(each) for each in self.rules],
            "failed": [attrs.asdict(each) for each in self.failed],
            "claimed_twice": list(self.twice),
            "left_out": list(self.left_out),
        }


def listing(registry: Registry, slot: str | None = None) -> Listing:
    """Every component, or those of a slot, by slot and name; every failure. Each config class is imported for it."""
    rows = []
    failed = [_failure(each.owner, each.message, each.remedy, each.usable) for each in registry.faults]
    for entry in registry.entries():
        if slot in (None, entry.slot):
            try:
                rows.append(_row(entry))
            except PluginError as fault:
                failed.append(_failure(entry.owner, fault.message, entry.owner.remedy(), usable=False))
    return Listing(
        rows=rows,
        rules=[Rule(**_named(each.owner), rule=each.name) for each in registry.rules],
        failed=failed,
        twice=list(_twice(registry, slot)),
        left_out=[str(each.owner) for each in registry.plugins if each.left_out],
    )


def _row(entry: Entry) -> Row:
    info = entry.config().__component__
    return Row(
        **_named(entry.owner),
        slot=entry.slot,
        component=entry.name,
        capabilities=tuple(sorted(info.capabilities)),
        doc=next(iter(info.doc.splitlines()), ""),
    )


def _failure(owner: Owner, reason: str, remedy: str, usable: bool) -> Failure:
    return Failure(**_named(owner), reason=reason, remedy=remedy, usable=usable)


def _named(owner: Owner) -> dict[str, str]:
    return {"distribution": owner.distribution, "version": owner.version, "entry": owner.entry}


def _twice(registry: Registry, slot: str | None) -> Iterator[str]:
    for each in registry.slots() if slot is None else [slot]:
        for name in registry.names(each):
            try:
                registry.find(each, name)
            except PluginError as fault:
                yield str(fault)
