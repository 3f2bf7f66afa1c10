"""Which components there are: find plugins, look components up, keep who owns what.

Every plugin is fenced: one that cannot be imported, or whose hook raises, is reported with its distribution and version
and leaves all others usable. Two owners of one id are no fault until a spec uses the id.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pluggy

from llm_build import hookspecs
from llm_build.components import Config
from llm_build.discovery import entry_points
from llm_build.errors import PluginError

log = logging.getLogger("llm_build.registry")


@attrs.frozen(kw_only=True, eq=False)
class Owner:
    """Who brings a component: a distribution and its version, and the entry point or file that was loaded."""

    distribution: str
    version: str
    entry: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()


@attrs.frozen(kw_only=True, eq=False)
class Entry:
    """A component that is installed. Its config class is made on the first call of `config`."""

    slot: str
    name: str
    owner: Owner
    place: str | type[Config] = attrs.field(repr=False)

    @property
    def id(self) -> str:
        return f"{self.slot}:{self.name}"

    def config(self) -> type[Config]:
        """The config class. Raises `PluginError` where it cannot be imported or is no config of this id."""
        if isinstance(self.place, str):
            return _import_config(self, self.place)
        return self.place


def _import_config(entry: Entry, place: str) -> type[Config]:
    module, _, name = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as fault:  # a plugin may raise anything while it is imported
        raise PluginError(f"{entry.id} of {entry.owner} cannot be imported from {place}: {fault}") from fault
    declared = getattr(found, "__component__", None)
    if declared is None or declared.id != entry.id:
        raise PluginError(
            f"{place} of {entry.owner} must be the config class of {entry.id}; decorate it with @component"
        )
    return found  # type: ignore[no-any-return]


@attrs.frozen(eq=False)
class PluginFault:
    """A plugin that could not be used, and why."""

    owner: Owner
    message: str

    def __str__(self) -> str:
        return f"plugin {self.owner.entry} of {self.owner}: {self.message}"


@attrs.define(eq=False, repr=False)
class Registry:
    """The components that are installed, by slot and name."""

    faults: list[PluginFault] = attrs.field(factory=list)
    _entries: dict[str, dict[str, list[Entry]]] = attrs.field(factory=dict)
    _named: set[str] = attrs.field(factory=set)

    def find(self, slot: str, name: str) -> Entry | None:
        """The component of a slot by name; None where there is none. Raises `PluginError` where two claim the id."""
        owners = self._entries.get(slot, {}).get(name, [])
        if len(owners) > 1:
            both = " and ".join(str(each.owner) for each in owners)
            raise PluginError(f"{slot}:{name} is claimed by {both}; uninstall one of them")
        return owners[0] if owners else None

    def config(self, slot: str, name: str) -> type[Config]:
        """The config class of a component. Raises `PluginError` where it is not installed."""
        entry = self.find(slot, name)
        if entry is None:
            raise PluginError(f"no component {slot}:{name} is installed; slot {slot} has {', '.join(self.names(slot))}")
        return entry.config()

    def names(self, slot: str) -> list[str]:
        return sorted(self._entries.get(slot, {}))

    def slots(self) -> list[str]:
        return sorted(self._entries)

    def slots_of(self, name: str) -> list[str]:
        """Every slot that has a component of this name."""
        return [slot for slot in self.slots() if name in self._entries[slot]]

    def entries(self) -> Iterable[Entry]:
        """Every component, by slot and name; both owners where two claim an id."""
        for slot in self.slots():
            for name in self.names(slot):
                yield from self._entries[slot][name]

    def add(self, plugin: Any, owner: Owner) -> None:
        """Register what a plugin offers; a fault goes to `faults`, and nothing of that plugin is kept."""
        manager = pluggy.PluginManager("llm_build")
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(plugin, owner.entry)
            manager.check_pending()
            found = [each for offer in manager.hook.llm_components() for each in _entries(offer, owner)]
        except (Exception, SystemExit) as fault:  # noqa: BLE001 (whatever a hook raises is its plugin's fault alone)
            self.faults.append(PluginFault(owner, f"{type(fault).__name__}: {fault}"))
            return
        log.info("%s of %s brings %s", owner.entry, owner, ", ".join(each.id for each in found))
        for entry in found:
            self._entries.setdefault(entry.slot, {}).setdefault(entry.name, []).append(entry)

    def add_named(self, name: str) -> None:
        """Register a plugin that the command line names: a module, or a file. Raises `PluginError` with the reason."""
        if name in self._named:
            return
        self._named.add(name)
        owner = Owner(distribution=name, version="", entry=name)
        try:
            plugin = _module_of_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
        except (Exception, SystemExit) as fault:  # a person asked for this plugin, so its failure stops the work
            raise PluginError(f"--plugin {name} cannot be imported: {type(fault).__name__}: {fault}") from fault
        before = len(self.faults)
        self.add(plugin, owner)
        if len(self.faults) > before:
            raise PluginError(str(self.faults.pop()))


def _entries(offer: Mapping[str, str] | Iterable[type[Config]], owner: Owner) -> Iterable[Entry]:
    if isinstance(offer, Mapping):
        for identity, place in offer.items():
            slot, colon, name = identity.partition(":")
            if not (slot and colon and name):
                raise PluginError(f'a component is listed as "slot:name"; "{identity}" arrived')
            yield Entry(slot=slot, name=name, owner=owner, place=place)
        return
    for cls in offer:
        info = cls.__component__
        yield Entry(slot=info.slot, name=info.name, owner=owner, place=cls)


def _module_of_file(file: Path) -> ModuleType:
    import importlib.util  # only a plugin in a file needs it

    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise FileNotFoundError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    if file.stem in sys.modules:
        raise ImportError(f"a module named {file.stem} is there already; rename the file")
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


@cache
def installed() -> Registry:
    """The registry of this process: every plugin whose distribution is installed."""
    registry = Registry()
    for point in entry_points(hookspecs.GROUP):
        owner = Owner(distribution=point.distribution, version=point.version, entry=point.name)
        try:
            plugin = _load(point.value)
        except (Exception, SystemExit) as fault:  # noqa: BLE001 (an entry point may fail in any way, the others must not)
            registry.faults.append(PluginFault(owner, f"{type(fault).__name__}: {fault}"))
            continue
        registry.add(plugin, owner)
    return registry


def _load(value: str) -> Any:
    """What an entry point names: a module, or an object in one."""
    module, _, names = value.partition("[")[0].strip().partition(":")
    found: Any = importlib.import_module(module.strip())
    for name in filter(None, names.strip().split(".")):
        found = getattr(found, name)
    return found
