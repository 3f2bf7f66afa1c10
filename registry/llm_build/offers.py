"""What one plugin offers, taken through its hooks: components and rules with their owner, or why it is refused."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from typing import Any

import attrs
import pluggy

from llm_build import __version__, hookspecs
from llm_build.components import Config
from llm_build.components.names import refuse_bad_id, refuse_bare
from llm_build.discovery import LIST
from llm_build.errors import PluginError
from llm_build.hookspecs import GROUP

BUILT_IN = "llm-build"
HOOKS = ("llm_components", "llm_rules")


@attrs.frozen(kw_only=True, eq=False)
class Owner:
    """Who brings a component: a distribution and its version, and the entry point, file or module that was loaded.

    What is not installed but named (`door`: "--plugin", or "pyproject.toml") has its own name for a distribution, and
    no version.
    """

    distribution: str
    version: str
    entry: str
    door: str = ""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()

    @property
    def built_in(self) -> bool:
        return self.distribution == BUILT_IN

    def remedy(self) -> str:
        """What a person can do where the plugin itself is at fault."""
        if not self.door:
            ask = f"ask its author for a release that works with llm-build {__version__}"
            return f"{ask}, or pip uninstall {self.distribution}"
        return f"mend it, or take it out of plugins in {LIST}" if self.door == LIST else "mend it, or name another"


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
    except (Exception, SystemExit) as fault:  # a plugin may raise anything while it is imported
        message = f"{entry.id} of {entry.owner} cannot be imported from {place}: {said(fault)}"
        raise PluginError(message, entry.owner.remedy()) from fault
    declared = getattr(found, "__component__", None)
    if declared is None or declared.id != entry.id:
        raise PluginError(
            f"{place} of {entry.owner} must be the config class of {entry.id}; decorate it with @component"
        )
    return found  # type: ignore[no-any-return]


@attrs.frozen(kw_only=True, eq=False)
class OwnedRule:
    """A check over a whole resolved spec, and who brings it."""

    owner: Owner
    check: hookspecs.Rule

    @property
    def name(self) -> str:
        return getattr(self.check, "__name__", type(self.check).__name__)


@attrs.frozen(eq=False)
class PluginFault:
    """Why a plugin could not be used, and what to do. With `usable` it is used all the same."""

    owner: Owner
    message: str
    remedy: str
    usable: bool = False

    def __str__(self) -> str:
        who = f"{self.owner.entry} of {self.owner}" if self.owner.version else self.owner.entry
        return f"plugin {who}: {self.message}; {self.remedy}"


@attrs.frozen(kw_only=True, eq=False)
class Plugin:
    """A plugin that was found: who brings it, what it offers, and its fault, if it has one.

    `left_out`: the allow list does not name it, so nothing of it was imported.
    """

    owner: Owner
    entries: tuple[Entry, ...] = ()
    rules: tuple[OwnedRule, ...] = ()
    fault: PluginFault | None = None
    left_out: bool = False


class Refused(Exception):
    """A plugin that cannot be used; `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        self.remedy = remedy
        super().__init__(message)


def load(value: str) -> Any:
    """What an entry point names: a module, or an object in one."""
    module, _, names = value.partition("[")[0].strip().partition(":")
    found: Any = importlib.import_module(module.strip())
    for name in filter(None, names.strip().split(".")):
        found = getattr(found, name)
    return found


def take(owner: Owner, make: Any) -> Plugin:
    """The plugin that `make()` gives, with what it offers; whatever goes wrong is its fault alone."""
    before = "torch" in sys.modules
    try:
        # what a verb writes to stdout is for programs: a plugin that prints must not stand in it
        with redirect_stdout(sys.stderr):
            offered = _offered(make(), owner)
    except Refused as refused:
        return Plugin(owner=owner, fault=PluginFault(owner, str(refused), refused.remedy))
    except (Exception, SystemExit) as fault:  # noqa: BLE001 (a plugin may fail in any way, the others must not)
        return Plugin(owner=owner, fault=PluginFault(owner, said(fault), owner.remedy()))
    # one file that a person names may hold the module too
    if "torch" in sys.modules and not before and not owner.door:
        message = "listing its components imports torch, for which every check then waits"
        remedy = "import torch only in the file that @component(module=…) names"
        return attrs.evolve(offered, fault=PluginFault(owner, message, remedy, usable=True))
    return offered


def said(fault: BaseException) -> str:
    """A fault in words: ours as they are, another's after its kind."""
    return str(fault) if isinstance(fault, PluginError) else f"{type(fault).__name__}: {fault}"


def _offered(plugin: Any, owner: Owner) -> Plugin:
    manager = pluggy.PluginManager("llm_build")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin, owner.entry)
        manager.check_pending()
    except pluggy.PluginValidationError as fault:
        remedy = f"the hooks of {GROUP} are {' and '.join(HOOKS)}, without arguments: rename it"
        raise Refused(str(fault).replace("\n", " "), remedy) from fault
    if not manager.get_hookcallers(plugin):
        message = "it has no hook, so it offers nothing"
        raise Refused(message, "write llm_components(), and @hookimpl (from llm_build) above it")
    entries = [each for offer in _given(manager, "llm_components") for each in _entries(offer, owner)]
    rules = [_rule(each, owner) for offer in _given(manager, "llm_rules") for each in offer]
    return Plugin(owner=owner, entries=tuple(entries), rules=tuple(rules))


def _given(manager: pluggy.PluginManager, name: str) -> list[Any]:
    hook = getattr(manager.hook, name)
    found: list[Any] = hook()
    if hook.get_hookimpls() and not found:
        raise Refused(f"{name}() returns nothing", f"end {name}() with a return")
    return found


def _entries(offer: Any, owner: Owner) -> Iterable[Entry]:
    if isinstance(offer, Mapping):
        for identity, place in offer.items():
            yield _entry(str(identity), place, owner)
        return
    for cls in offer:
        info = getattr(cls, "__component__", None)
        if info is None:
            remedy = 'return classes with @component above them, or a mapping "slot:name" → "module:Class"'
            raise Refused(f"llm_components() gives {cls!r}, which is no config class", remedy)
        yield _entry(info.id, cls, owner)


def _entry(identity: str, place: Any, owner: Owner) -> Entry:
    refuse_bad_id(identity)
    if not owner.built_in:
        refuse_bare(identity)
    slot, _, name = identity.partition(":")
    if not isinstance(place, str) and getattr(getattr(place, "__component__", None), "id", None) != identity:
        remedy = f'write "{identity}": "package.module:Class"'
        raise Refused(f"llm_components() gives {place!r} for {identity}, which is no place of a class", remedy)
    return Entry(slot=slot, name=name, owner=owner, place=place)


def _rule(rule: Any, owner: Owner) -> OwnedRule:
    if not callable(rule):
        raise Refused(f"llm_rules() gives {rule!r}, which is no function", "return a list of functions of a spec")
    return OwnedRule(owner=owner, check=rule)
