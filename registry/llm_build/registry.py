"""Which components there are: find plugins, look components up, keep who owns what.

Every plugin is fenced: one that cannot be imported, or whose hook raises, is reported with its distribution and version
and leaves all others usable. Two owners of one id are no fault until a spec uses the id.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from llm_build import __version__
from llm_build.components import Config
from llm_build.discovery import LIST, VARIABLE, Found, allowed, entry_points, listed_here, normal
from llm_build.errors import PluginError
from llm_build.hookspecs import FAMILY, GROUP
from llm_build.offers import Entry, OwnedRule, Owner, Plugin, PluginFault, Refused, load, take

__all__ = ["Entry", "OwnedRule", "Owner", "Plugin", "PluginFault", "Registry", "installed"]

log = logging.getLogger("llm_build.registry")


@attrs.define(eq=False, repr=False)
class Registry:
    """The components that are installed, by slot and name; `plugins` has every plugin that was found, as it came."""

    plugins: list[Plugin] = attrs.field(factory=list)
    _entries: dict[str, dict[str, list[Entry]]] = attrs.field(factory=dict)
    _named: dict[str, Plugin] = attrs.field(factory=dict)

    @property
    def faults(self) -> list[PluginFault]:
        """What is wrong with a plugin, of each that is at fault."""
        return [each.fault for each in self.plugins if each.fault is not None]

    @property
    def rules(self) -> Iterator[OwnedRule]:
        """Every check over a whole resolved spec."""
        return (rule for plugin in self.plugins for rule in plugin.rules)

    def find(self, slot: str, name: str) -> Entry | None:
        """The component of a slot by name; None where there is none. Raises `PluginError` where two claim the id."""
        owners = self._entries.get(slot, {}).get(name, [])
        # a plugin that is installed may be named as well: one class is one component
        if len({each.place for each in owners}) > 1:
            raise _claimed(f"{slot}:{name}", [each.owner for each in owners])
        return owners[0] if owners else None

    def config(self, slot: str, name: str) -> type[Config]:
        """The config class of a component. Raises `PluginError` where it is not installed."""
        entry = self.find(slot, name)
        if entry is None:
            raise PluginError(f"no component {slot}:{name} is installed; slot {slot} has {', '.join(self.names(slot))}")
        return entry.config()

    def owner_of(self, config: Config) -> Owner | None:
        """Who brings the class of a config; None for a class of which no plugin speaks."""
        info = config.__component__
        for entry in self._entries.get(info.slot, {}).get(info.name, []):
            with suppress(PluginError):
                if entry.config() is type(config):
                    return entry.owner
        return None

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

    def unused(self) -> list[str]:
        """The plugins of which nothing is used, each with a word on why."""
        refused = [f"{each.owner} could not be used" for each in self.faults if not each.usable]
        return refused + [f"{each.owner} is left out by {VARIABLE}" for each in self.plugins if each.left_out]

    def add(self, owner: Owner, make: Callable[[], Any]) -> Plugin:
        """Register what the plugin that `make()` gives offers. One at fault is kept with its fault and nothing else."""
        plugin = take(owner, make)
        self.plugins.append(plugin)
        if plugin.entries:
            log.info("%s of %s brings %s", owner.entry, owner, ", ".join(each.id for each in plugin.entries))
        for entry in plugin.entries:
            self._entries.setdefault(entry.slot, {}).setdefault(entry.name, []).append(entry)
        return plugin

    def leave_out(self, owner: Owner) -> None:
        """Keep a plugin's name alone: the allow list does not have it."""
        log.info("%s of %s is left out by %s", owner.entry, owner, VARIABLE)
        self.plugins.append(Plugin(owner=owner, left_out=True))

    def add_named(self, name: str, door: str = "--plugin") -> Plugin:
        """Register a plugin that a person names at some door: a module, or a file.

        Raises `PluginError` where it cannot be used, but for what the working directory lists: that stops nobody.
        """
        is_file = name.endswith(".py")
        key = str(Path(name).resolve()) if is_file else name
        if key not in self._named:
            owner = Owner(distribution=name, version="", entry=name, door=door)
            make = partial(_module_of_file, Path(name)) if is_file else partial(_module_of_name, name)
            self._named[key] = self.add(owner, make)
        fault = self._named[key].fault
        if fault is not None and not fault.usable and door != LIST:
            raise PluginError(f"{door} {name} cannot be used: {fault.message}; {fault.remedy}")
        return self._named[key]


def _claimed(identity: str, owners: Sequence[Owner]) -> PluginError:
    names = list(dict.fromkeys(map(str, owners)))
    if len(names) == 1:
        return PluginError(f"{identity} is claimed twice by {names[0]}", owners[0].remedy())
    remedy = f"pip uninstall one of them, or leave it out of {VARIABLE}"
    if named := next((each for each in owners if each.door), None):
        remedy = f"use one of them alone: {named} is not installed but named, by {named.door}"
    return PluginError(f"{identity} is claimed by {' and '.join(names)}", remedy)


def _module_of_name(name: str) -> ModuleType:
    _reach(Path.cwd())
    return importlib.import_module(name)


def _module_of_file(file: Path) -> ModuleType:
    import importlib.util  # only a plugin in a file needs it

    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise FileNotFoundError(f"{file} is not a Python file")
    if file.stem in sys.modules:
        raise ImportError(f"a module named {file.stem} is there already; rename the file")
    _reach(file.resolve().parent)
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[file.stem]
        raise
    return module


def _reach(folder: Path) -> None:
    """Let what lies beside a named plugin be imported, behind everything that is installed."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


@cache
def installed() -> Registry:
    """The registry of this process: every plugin that is installed, and those that the working directory lists."""
    registry, allow = Registry(), allowed()
    for point in _distinct(entry_points(FAMILY)):
        owner = Owner(distribution=point.distribution, version=point.version, entry=point.name)
        if not owner.built_in and allow is not None and normal(point.distribution) not in allow:
            registry.leave_out(owner)
        else:
            registry.add(owner, partial(_loaded, point))
    _add_listed(registry, allow)
    for name in sorted((allow or frozenset()) - {normal(each.owner.distribution) for each in registry.plugins}):
        owner = Owner(distribution=name, version="", entry=name)
        message = f"{VARIABLE} names it, and no distribution with a plugin has that name"
        _report(registry, owner, message, _meant(registry, name))
    return registry


def _add_listed(registry: Registry, allow: frozenset[str] | None) -> None:
    """Register what the working directory lists. One at fault stops no other."""
    try:
        names = listed_here()
    except PluginError as fault:
        owner = Owner(distribution=LIST, version="", entry=LIST, door=LIST)
        _report(registry, owner, str(fault), 'write plugins = ["ring.py"] below [tool.llm-build]')
        return
    for name in names:
        owner = Owner(distribution=name, version="", entry=name, door=LIST)
        if allow is not None and normal(name) not in allow:
            registry.leave_out(owner)
        else:
            registry.add_named(name, LIST)


def _report(registry: Registry, owner: Owner, message: str, remedy: str) -> None:
    registry.plugins.append(Plugin(owner=owner, fault=PluginFault(owner, message, remedy)))


def _meant(registry: Registry, name: str) -> str:
    """What to write in the allow list in place of a name that no distribution has."""
    owners = [each.owner for each in registry.plugins if each.owner.version and not each.owner.built_in]
    for owner in owners:
        if normal(owner.entry) == name:
            return f"{owner.entry} is an entry point of {owner.distribution}: write {owner.distribution}"
    names = ", ".join(dict.fromkeys(each.distribution for each in owners))
    return f"write one of {names}" if names else "pip install it"


def _distinct(found: Iterable[Found]) -> Iterator[Found]:
    """The entry points to load: of a distribution that serves several versions of the hooks, those of this one."""
    points = list(found)
    serving = {each.distribution for each in points if each.group == GROUP}
    return (each for each in points if each.group == GROUP or each.distribution not in serving)


def _loaded(point: Found) -> Any:
    if point.group != GROUP:
        message = f"it is written for {point.group}, and llm-build {__version__} reads {GROUP}"
        remedy = f"pip install --upgrade llm-build, or install a release of {point.distribution} for {GROUP}"
        raise Refused(message, remedy)
    return load(point.value)
