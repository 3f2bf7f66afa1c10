"""`@component` and `Config`: a frozen class that is a component's schema, its Python API and its record, all three."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, dataclass_transform

import attrs

from llm_build.components import fields
from llm_build.components.declared import refuse_bad_declaration, refuse_bad_fields
from llm_build.components.values import UNSET, Problem
from llm_build.errors import LLMBuildError, PluginError

if TYPE_CHECKING:
    from pathlib import Path

    from llm_build.context import Context


@attrs.frozen
class ComponentInfo:
    """What a component declares: its id is `slot:name`; `module` ("package.module:Class") is imported when it is built.

    `version` goes up when numerics or weight names change. `capabilities` are promises that the conformance kit holds
    it to, but for the checks in `opt_outs`, each with its reason.
    """

    slot: str
    name: str
    version: int
    module: str
    capabilities: frozenset[str]
    opt_outs: Mapping[str, str] = attrs.field(hash=False)
    doc: str

    @property
    def id(self) -> str:
        return f"{self.slot}:{self.name}"


@attrs.frozen
class Origin:
    """Where a resolved value comes from. `detail`: the path inherited from, the derivation, or the component's id."""

    kind: Literal["stated", "inherited", "derived", "default"]
    detail: str = ""


class Config:
    """The base of every config class. Frozen; a field that was not stated holds `UNSET` until it is resolved.

    A module receives its config *filled*: every field has a value, and every part is filled in turn.
    """

    __slots__ = ("__weakref__", "_origins")
    __component__: ClassVar[ComponentInfo]
    _origins: dict[str, Origin]

    def check(self, context: Context) -> Iterator[Problem]:
        """Yield every fault that the kinds of the fields cannot see, and what to warn of. Override it.

        Further methods whose names begin with `check_` are called too, each by itself: a field at fault silences only
        those that read it.
        """
        return iter(())

    def inside(self, field: str, context: Context) -> Context:
        """The context of the part in `field`. Override where the component tells its parts more than it was told."""
        return context

    @classmethod
    def specimens(cls, folder: Path) -> Sequence[Config]:
        """Configs to prove the component with, where its fields cannot be drawn, as those that name files.

        What they name may be written into `folder`, which is empty, or into `cache_folder()`, which is then one of the
        kit's own. None: the kit draws every field.
        """
        return ()

    def problems(self, context: Context) -> list[Problem]:
        """Every fault of this config and of its parts in this context; without an error among them it can be built."""
        found: list[Problem] = _late("llm_build.resolve").problems(self, context)
        return found

    def build(self, context: Context) -> Any:
        """Build the module of this config. Raises `SpecError` with every fault that it has in this context."""
        return _late("llm_build.assemble").assemble(self, context)

    def part(self, field: str, context: Context) -> Any:
        """Build the component in a field of a filled config; None where it is `none`."""
        config = getattr(self, field)
        if config is None:
            return None
        inner = self._inner(field, field, context)
        spec, origin = fields.field_specs(self)[field], self.origin(field)
        if not (spec.once and origin.kind == "inherited") or context.shelf is None:
            return instantiate(config, inner)
        key = (spec.inherit, context.owners.get(spec.inherit or ""), inner.heads, inner.head_dim, config)
        if key not in context.shelf:
            context.shelf[key] = instantiate(config, inner)
        return context.shelf[key]

    def parts(self, field: str, context: Context) -> list[Any]:
        """Build the components in a list field of a filled config, in order; equal `share` names give one module.

        None are built where the field is `none`.
        """
        shared: dict[str, Any] = {}
        built = []
        for index, config in enumerate(getattr(self, field) or ()):
            name = getattr(config, "share", None)
            module = shared.get(name) if name else None
            if module is None:
                module = instantiate(config, self._inner(field, f"{field}[{index}]", context))
            if name:
                shared[name] = module
            built.append(module)
        return built

    def origin(self, field: str) -> Origin:
        """Where the value of a field of a filled config comes from."""
        return self._origins[field]

    @property
    def filled(self) -> bool:
        """Whether every field has its value, stated or not."""
        return hasattr(self, "_origins")

    def as_filled(self, origins: dict[str, Origin]) -> Self:
        """Mark this config as filled, with the origin of each field."""
        object.__setattr__(self, "_origins", origins)
        return self

    def changed(self, **values: Any) -> Self:
        """A filled config with other values, filled ones, in some fields; what was derived from them stays as it is."""
        kept = {name: getattr(self, name) for name in fields.field_specs(self)}
        return type(self)(**{**kept, **values}).as_filled(self._origins)

    def _stated(self) -> tuple[tuple[str, Any], ...]:
        return tuple((name, value) for name in fields.field_specs(self) if (value := getattr(self, name)) is not UNSET)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._stated() == other._stated()

    def __hash__(self) -> int:
        return hash((type(self), self._stated()))

    def __repr__(self) -> str:
        stated = ", ".join(f"{name}={value!r}" for name, value in self._stated())
        return f"{type(self).__name__}({stated})"

    def _inner(self, field: str, step: str, context: Context) -> Context:
        return self.inside(field, context).with_(path=f"{context.path}.{step}".lstrip("."))

    def __mul__(self, count: int) -> tuple[Self, ...]:
        return (self,) * count

    __rmul__ = __mul__

    def __add__(self, other: Any) -> tuple[Any, ...]:
        return (self, *(other if isinstance(other, tuple) else (other,)))

    def __radd__(self, other: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*other, self)


C = TypeVar("C", bound=type[Config])


@dataclass_transform(
    kw_only_default=True,
    frozen_default=True,
    field_specifiers=(
        fields.size,
        fields.number,
        fields.amount,
        fields.share,
        fields.flag,
        fields.text,
        fields.path,
        fields.choice,
        fields.many,
        fields.part,
        fields.parts,
    ),
)
def component(
    identity: str,
    *,
    module: str,
    version: int = 1,
    capabilities: Iterable[str] = (),
    opt_outs: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[C], C]:
    """Make a class the config of a component.

    `identity` is "slot:name"; `module` is "package.module:Class" and is imported only when the component is built, with
    `Class(config, context)`. `capabilities` are among those of `CAPABILITIES`, or "namespace.name" for promises that
    are a plugin's own. `opt_outs` are the checks of the conformance kit that it cannot keep, each with the reason; one
    that it does keep fails the kit. Raises `PluginError`, which says what to write, for a declaration that the language
    cannot use.
    """
    slot, _, name = identity.partition(":")

    def decorate(cls: C) -> C:
        if not issubclass(cls, Config):
            raise PluginError(f"the config class of {identity} must derive from Config: class {cls.__name__}(Config)")
        refuse_bad_declaration(identity, module, version, capabilities, opt_outs)
        refuse_bad_fields(cls, Config, identity)
        # Config brings equality and repr: what attrs would generate for each class costs start-up time
        made: Any = attrs.frozen(kw_only=True, eq=False, repr=False)(cls)
        doc = (cls.__doc__ or "").strip()
        made.__component__ = ComponentInfo(slot, name, version, module, frozenset(capabilities), dict(opt_outs), doc)
        return made  # type: ignore[no-any-return]

    return decorate


def checks_of(cls: type[Config]) -> tuple[Callable[[Any, Context], Iterator[Problem]], ...]:
    """`check` and every `check_…` of a config class."""
    return tuple(getattr(cls, name) for name in dir(cls) if name == "check" or name.startswith("check_"))


def id_of(config: Any) -> str:
    """The id of a config or a config class: "norm:rms"."""
    identity: str = config.__component__.id
    return identity


def can(config: Any, capability: str) -> bool:
    """Whether a component declares a capability; False for None."""
    info = getattr(config, "__component__", None)
    return info is not None and capability in info.capabilities


def walk(config: Config) -> Iterator[Config]:
    """A config and every component in it, at any depth, each where it stands."""
    return (each for _, each in walk_paths(config))


def walk_paths(config: Config, path: str = "") -> Iterator[tuple[str, Config]]:
    """The same, each with its path ("model.layers[3].attention"), which begins with `path`."""
    yield path, config
    for name in fields.field_specs(config):
        value = getattr(config, name)
        inner = f"{path}.{name}".lstrip(".")
        if isinstance(value, Config):
            yield from walk_paths(value, inner)
        for index, each in enumerate(value if isinstance(value, tuple) else ()):
            if isinstance(each, Config):
                yield from walk_paths(each, f"{inner}[{index}]")


def instantiate(config: Config, context: Context) -> Any:
    """The module of a filled config: its class is imported now and called with (config, context).

    Raises `PluginError` where it cannot be imported, takes other arguments, does not follow its slot's Protocol, or is
    a plugin's and raises anything while it is made.
    """
    info = config.__component__
    where, _, name = info.module.partition(":")
    try:
        factory = getattr(importlib.import_module(where), name)
    except (Exception, SystemExit) as fault:  # a plugin may raise anything while it is imported
        said = f"{type(fault).__name__}: {fault}"
        who, remedy = _owned(config)
        raise PluginError(f"{who} names its module {info.module}, which cannot be imported: {said}", remedy) from fault
    protocols = _late("llm_build.protocols")
    protocols.refuse_factory(info, factory)
    module = _made(factory, config, context)
    protocols.refuse_stranger(info, module)
    return module


def _made(factory: Callable[[Any, Context], Any], config: Config, context: Context) -> Any:
    try:
        return factory(config, context)
    except LLMBuildError:
        raise
    except (Exception, SystemExit) as fault:
        who, remedy = _owned(config)
        if not remedy:
            raise
        said = f"{type(fault).__name__}: {fault}"
        raise PluginError(f"{who} fails while {context.path or 'it'} is built: {said}", remedy) from fault


def _owned(config: Config) -> tuple[str, str]:
    """A component with the plugin that brings it, and what to do where that is at fault; "" where nobody but us is."""
    owner = _late("llm_build.registry").installed().owner_of(config)
    if owner is None or owner.built_in:
        return id_of(config), ""
    return f"{id_of(config)} of {owner}", owner.remedy()


def _late(name: str) -> Any:
    # resolving and assembling live higher up; a config reaches them by name, as it reaches its module
    return importlib.import_module(name)
