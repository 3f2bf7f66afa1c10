"""Fill a config: give every field its value, stated, inherited, derived or default, and find every fault on the way.

Nothing is derived from a faulty value: what needs one is left out in silence, so that one mistake gives one fault.
What the code of a plugin raises is a fault of its component (E315), and everything else is filled all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from llm_build.components import (
    UNSET,
    Config,
    FieldSpec,
    Origin,
    PartKind,
    PartsKind,
    Problem,
    Refusal,
    checks_of,
    field_specs,
    id_of,
)
from llm_build.context import Context
from llm_build.diagnostics import Severity
from llm_build.errors import MissingContext, PluginError
from llm_build.language.values import FAULTY
from llm_build.registry import Registry
from llm_build.resolve.blame import blame

log = logging.getLogger("llm_build.resolve")


@attrs.frozen(eq=False, repr=False)
class Fault:
    """A problem and the config that has it; `path` is where that config stands (`model.layers[0].attention`)."""

    config: Config
    problem: Problem
    path: str
    context: Context


@attrs.frozen(eq=False, repr=False)
class Known:
    """What filling found of a config, right or not: a field that is faulty, or needs what is, has no value here."""

    values: Mapping[str, Any]
    origins: Mapping[str, Origin]
    inner: Callable[[str, str], Context]
    """(field, step of its path) → the context of the part there."""


class _Faulty(Exception):
    """Something that is needed here is faulty; its fault is reported elsewhere."""


class Filler:
    """Fills configs against a registry. Equal work is done once: a block that stands 58 times is filled once."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.faults: list[Fault] = []
        # what configs advise against; it makes no config faulty
        self.warnings: list[Fault] = []
        # a filled config → the stated one that it came from, for faults found in another context
        self.stated: dict[int, Config] = {}
        # the context that a filled config was filled in
        self.contexts: dict[int, Context] = {}
        # where each config was met first
        self.paths: dict[str, Config] = {}
        self._memo: dict[Any, tuple[Config, Config | None]] = {}
        # those that came to no filled config, which would know its values itself
        self._halves: dict[Any, _Filling] = {}

    def fill(self, config: Config, context: Context) -> Config | None:
        """The filled config, or None if it or a part of it is faulty; the faults are in `faults`."""
        self.paths.setdefault(context.path, config)
        key = _key(config, context)
        if key not in self._memo:
            # the config is kept beside its result so that its id is not given to another
            self._memo[key] = (config, self._fill(config, context))
        return self._memo[key][1]

    def known(self, config: Config, context: Context) -> Known | None:
        """What was found of a config that is faulty in a context, or has a part that is; None for any other."""
        filling = self._halves.get(_key(config, context))
        return Known(filling.values, filling.origins, filling._inner) if filling else None

    def _fill(self, config: Config, context: Context) -> Config | None:
        if config.filled:
            return config if self._recheck(config, context) else None
        filling = _Filling(self, config, context)
        for name in field_specs(config):
            filling.settle(name)
        filling.check(filling.view)
        if filling.faulty:
            self._halves[_key(config, context)] = filling
            return None
        filled = type(config)(**filling.values).as_filled(filling.origins)
        self.stated[id(filled)], self.contexts[id(filled)] = config, context
        return filled

    def _recheck(self, config: Config, context: Context) -> bool:
        """An inherited config has its values already; only what it says of its new surroundings is news."""
        before = len(self.faults)
        _Filling(self, self.stated.get(id(config), config), context).check(config)
        return len(self.faults) == before

    def behind(self, held: Any) -> Config | None:
        """The config, as it was stated, that something stands for: itself filled, or its view; None for all else."""
        if isinstance(held, _View):
            return object.__getattribute__(held, "_filling").config  # type: ignore[no-any-return]
        return self.stated.get(id(held), held) if isinstance(held, Config) else None

    def path_of(self, config: Config) -> str:
        """Where a stated config was met first."""
        return next((path for path, each in self.paths.items() if each is config), "")


def _key(config: Config, context: Context) -> tuple[Any, ...]:
    return id(config), context, tuple(sorted(context.owners.items()))


class _View:
    """A config while it is being filled: what `derive`, `inside` and `check` see as the config itself."""

    __slots__ = ("_filling", "_lenient")

    def __init__(self, filling: _Filling, *, lenient: bool = False) -> None:
        self._filling, self._lenient = filling, lenient

    def __getattr__(self, name: str) -> Any:
        config = self._filling.config
        if name not in field_specs(config):
            return getattr(type(config), name).__get__(self)
        if not self._lenient:
            return self._filling.value(name)
        self._filling.settle(name)
        return self._filling.values.get(name, FAULTY)

    def origin(self, name: str) -> Origin:
        self._filling.value(name)
        return self._filling.origins[name]


class _Filling:
    """The fields of one config, each settled on first use."""

    def __init__(self, filler: Filler, config: Config, context: Context) -> None:
        self.filler, self.config, self.context = filler, config, context
        self.specs = field_specs(config)
        self.view: Any = _View(self)
        self.values: dict[str, Any] = {}
        self.origins: dict[str, Origin] = {}
        self.faulty: set[str] = set()
        self._open: set[str] = set()

    def value(self, name: str) -> Any:
        """The value of a field, or `_Faulty`."""
        self.settle(name)
        if name in self.faulty:
            raise _Faulty
        return self.values[name]

    def settle(self, name: str) -> None:
        """Find the value of a field, once."""
        if name in self.values or name in self.faulty:
            return
        if name in self._open:
            raise PluginError(f"{id_of(self.config)} derives its field {name} from itself")
        self._open.add(name)
        try:
            self.values[name], self.origins[name] = self._find(name, self.specs[name])
        except _Faulty:
            self.faulty.add(name)
        except MissingContext as missing:
            self._missing(name, missing)

    def check(self, config: Any) -> None:
        """Run every check on the config, or on the view that stands for it."""
        for check in checks_of(type(self.config)):
            self._report(check, config)

    def _report(self, check: Callable[[Any, Context], Iterable[Problem]], config: Any) -> None:
        """Take over what a check yields, until it needs something faulty or unknown, or fails."""
        try:
            for problem in check(config, self.context) or ():
                if not isinstance(problem, Problem):
                    raise TypeError(f"a check yields Problem(field=…, message=…); {problem!r} arrived")
                self._add(problem)
        except _Faulty:
            self.faulty.add("")
        except MissingContext as missing:
            self._missing("", missing)
        except (Exception, SystemExit) as fault:
            if not (isinstance(fault, TypeError) and self.context.damaged) and not self._fenced(fault, check.__name__):
                raise
            self.faulty.add("")

    def _fenced(self, fault: BaseException, function: str) -> bool:
        """Whether a plugin's code raised it; it is now a fault, unless what it was told was faulty already."""
        found = blame(fault, self.config, function, self.filler.registry, self.filler.behind)
        if found is None:
            return False
        log.info("%s fails", id_of(found.config), exc_info=fault)
        self.faulty.add("")
        if not self.context.damaged:
            path = self.context.path if found.config is self.config else self.filler.path_of(found.config)
            self.filler.faults.append(Fault(found.config, found.problem(fault), path, self.context))
        return True

    def _missing(self, name: str, missing: MissingContext) -> None:
        self.faulty.add(name)
        if not self.context.blind and getattr(self.context, missing.name) is not FAULTY:
            self._add(Problem(field="", message=f"{_called(self.config)}: {missing}", code="E313"))

    def _add(self, problem: Problem) -> None:
        fault = Fault(self.config, problem, self.context.path, self.context)
        if problem.severity is Severity.WARNING:
            self.filler.warnings.append(fault)
            return
        self.faulty.add(problem.field)
        self.filler.faults.append(fault)

    def _find(self, name: str, spec: FieldSpec) -> tuple[Any, Origin]:
        stated = getattr(self.config, name)
        if stated is FAULTY:
            raise _Faulty
        if stated is not UNSET:
            return self._accept(name, spec, stated), Origin("stated")
        if spec.inherit is not None:
            inherited = getattr(self.context, spec.inherit)
            if inherited is FAULTY:
                raise _Faulty
            if inherited is not None:
                owner = self.context.owners.get(spec.inherit, "")
                return self._accept(name, spec, inherited), Origin("inherited", owner)
            if self.context.blind and spec.default is UNSET and not spec.optional:
                raise _Faulty
        if spec.derive is not None:
            derived = self._derived(name, spec.derive)
            if isinstance(derived, Problem):
                self._add(derived)
                raise _Faulty
            return self._accept(name, spec, self._named(spec, derived)), Origin("derived", spec.says)
        return self._default(name, spec), Origin("default", id_of(self.config))

    def _derived(self, name: str, derive: Callable[[Any, Context], Any]) -> Any:
        try:
            derived = derive(self.view, self.context)
            if isinstance(derived, Problem) and derived.severity is not Severity.ERROR:
                raise PluginError(f"{id_of(self.config)} derives {name} as a warning; only a check can warn")
            return derived
        except (_Faulty, MissingContext):
            raise
        except (Exception, SystemExit) as fault:
            if not self._fenced(fault, f"derive of {name}"):
                raise
            raise _Faulty from fault

    def _default(self, name: str, spec: FieldSpec) -> Any:
        if spec.default is UNSET:
            if spec.optional:
                return None
            why, instead = self.context.untold.get(spec.inherit or "", ("", ""))
            message = _required(self.config, name, spec) + (f"; {why}" if why else "")
            advice = self._example(name, spec) + (f", {instead}" if instead else "")
            self._refuse(name, Refusal(message, advice), "E303", at="")
        return self._accept(name, spec, self._named(spec, spec.default))

    def _named(self, spec: FieldSpec, value: Any) -> Any:
        """A component that a class gives by its name is resolved like text."""
        if not isinstance(spec.kind, PartKind | PartsKind) or not isinstance(value, str):
            return value
        try:
            return self.filler.registry.config(spec.kind.slot, value)()
        except PluginError as fault:
            self._add(Problem(field="", message=fault.message, help=fault.remedy, code="E308"))
            raise _Faulty from fault

    def _example(self, name: str, spec: FieldSpec) -> str:
        slot = getattr(spec.kind, "slot", None)
        component = spec.suggested(self.filler.registry.names(slot)) if slot else ""
        return f"write {name} = {component} {{ … }}" if component else f"write {name} = …"

    def _accept(self, name: str, spec: FieldSpec, value: Any) -> Any:
        if value is None and spec.optional:
            return None
        accepted = spec.kind.accept(value)
        if isinstance(accepted, Refusal):
            self._refuse(name, accepted, "E301")
        if isinstance(spec.kind, PartKind):
            return self._part(name, name, accepted)
        if isinstance(spec.kind, PartsKind):
            return self._parts(name, accepted)
        return accepted

    def _parts(self, name: str, items: tuple[Config, ...]) -> tuple[Config, ...]:
        filled, faulty = [], False
        for index, each in enumerate(items):
            try:
                filled.append(self._part(name, f"{name}[{index}]", each))
            except _Faulty:
                faulty = True
        self._share_alike(name, items)
        if faulty or name in self.faulty:
            raise _Faulty
        return tuple(filled)

    def _share_alike(self, name: str, items: tuple[Config, ...]) -> None:
        """Parts with the same `share` are one module, so they must be equal."""
        first: dict[str, Config] = {}
        for index, each in enumerate(items):
            shared = getattr(each, "share", None)
            if isinstance(shared, str) and first.setdefault(shared, each) != each:
                message = f'parts that share "{shared}" must be equal; {name}[{index}] differs from the first of them'
                self._add(Problem(field=name, message=message, help="give it another share, or none", code="E311"))

    def _part(self, name: str, step: str, config: Config) -> Config:
        filled = self.filler.fill(config, self._inner(name, step))
        if filled is None:
            raise _Faulty
        return filled

    def _inner(self, name: str, step: str) -> Context:
        path = f"{self.context.path}.{step}".lstrip(".")
        return self._surroundings(name).with_(path=path)

    def _surroundings(self, name: str) -> Context:
        """What this config tells a part. A faulty value goes down as FAULTY, so that only what needs it is left out."""
        try:
            return self._told(self.view, name)
        except (_Faulty, MissingContext):
            pass
        except (Exception, SystemExit) as fault:
            if not self._fenced(fault, "inside"):
                raise
            return self.context.with_(blind=True)
        try:
            return self._told(_View(self, lenient=True), name)
        except Exception:  # noqa: BLE001 (it computes with what is faulty, so nothing that it would say is known)
            return self.context.with_(blind=True)

    def _told(self, view: Any, name: str) -> Context:
        told: Any = type(self.config).inside(view, name, self.context)
        if not isinstance(told, Context):
            raise TypeError(f"it returns a Context, such as context.with_(…); {told!r} arrived")
        return told

    def _refuse(self, name: str, refusal: Refusal, code: str, at: str | None = None) -> None:
        message = f"{name} {refusal.message}" if at is None else refusal.message
        self._add(Problem(field=name if at is None else at, message=message, help=refusal.help, code=code))
        raise _Faulty


def _required(config: Config, name: str, spec: FieldSpec) -> str:
    where = f" (inherited from around it where that is set; derived as {spec.says})" if spec.says else ""
    return f"{_called(config)} needs {name}, {spec.kind.describe()}{where}"


def _called(config: Config) -> str:
    info = config.__component__
    return "a spec" if info.slot == info.name == "spec" else info.name
