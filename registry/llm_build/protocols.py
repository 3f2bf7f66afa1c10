"""Whether a module follows the Protocol of its slot. Modules are imported when they are built, so it is asked then.

Never by isinstance: from Python 3.12 on that does not see the parts of a torch module.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Protocol

import attrs

from llm_build.components import ComponentInfo
from llm_build.errors import PluginError
from llm_build.interfaces import PROTOCOLS, SourceModel

BY_CAPABILITY: Mapping[tuple[str, str], str] = {("position", "rotate"): "rotary", ("position", "embed"): "additive"}
"""Members that a slot asks only of components with a capability."""


@attrs.frozen(kw_only=True)
class Member:
    """What a Protocol asks of a module: a method, or an attribute where `signature` is None. `doc` is its docstring."""

    name: str
    signature: inspect.Signature | None
    doc: str = ""

    def __str__(self) -> str:
        return self.name if self.signature is None else f"{self.name}{str(self.signature).replace(chr(39), '')}"


@cache
def members(protocol: type) -> tuple[Member, ...]:
    """Everything that a Protocol asks for, what it derives from included: attributes, then methods."""
    bases = [
        each for each in reversed(protocol.__mro__) if getattr(each, "_is_protocol", False) and each is not Protocol
    ]
    fields = {name: Member(name=name, signature=None) for each in bases for name in each.__annotations__}
    methods = {
        name: Member(name=name, signature=inspect.signature(value), doc=inspect.getdoc(value) or "")
        for each in bases
        for name, value in vars(each).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    return (*fields.values(), *methods.values())


def asked(slot: str, capabilities: frozenset[str]) -> tuple[Member, ...]:
    """What a slot asks of the module of a component with these capabilities; nothing of a slot that is not ours."""
    if slot not in PROTOCOLS:
        return ()
    protocol = SourceModel if slot == "model" and "encoder" in capabilities else PROTOCOLS[slot]
    return tuple(each for each in members(protocol) if BY_CAPABILITY.get((slot, each.name), "") in ("", *capabilities))


@lru_cache(maxsize=1024)
def refuse_factory(info: ComponentInfo, factory: Any) -> None:
    """Raises `PluginError` for a class or function that cannot be called with a config and a context."""
    try:
        inspect.signature(factory).bind(None, None)
    except ValueError:  # written in C: nothing is known
        return
    except TypeError as fault:
        raise PluginError(
            f"{info.id} is built as {info.module}, which must take (config, context): {fault}; "
            "write def __init__(self, config, context)"
        ) from fault


def refuse_stranger(info: ComponentInfo, module: Any) -> None:
    """Raises `PluginError` for a module that lacks what its slot asks for, with the signature of all that it lacks."""
    faults = list(_faults(info, module))
    if faults:
        raise PluginError(f"{info.id} is built as {info.module}, which must follow its slot: {'; '.join(faults)}")


def _faults(info: ComponentInfo, module: Any) -> Iterator[str]:
    members = asked(info.slot, info.capabilities)
    if any(each.name == "forward" for each in members) and not _is_torch_module(module):
        yield f"what has a forward derives from torch.nn.Module; {type(module).__name__} does not"
    for member in members:
        if member.signature is None:
            if not _has(module, member.name):
                yield f"it has no attribute {member.name}"
        elif not _implements(module, member.name):
            yield f"it has no method {member}: {_first_line(member.doc)}"
        elif found := _unlike(getattr(module, member.name), member):
            yield f"its {member.name}{found} cannot be called as {member}: {_first_line(member.doc)}"


def _is_torch_module(module: Any) -> bool:
    from torch import nn  # what asks for slots without building must not wait for torch

    return isinstance(module, nn.Module)


def _has(module: Any, name: str) -> bool:
    # a property is not asked: it may need what comes only after the building
    return hasattr(type(module), name) or hasattr(module, name)


def _implements(module: Any, name: str) -> bool:
    method = getattr(module, name, None)
    # a torch module without a forward has a placeholder of this name
    return callable(method) and getattr(method, "__name__", "") != "_forward_unimplemented"


def _unlike(method: Callable[..., Any], member: Member) -> str:
    """The signature of a method that cannot be called as its slot calls it; "" where it can."""
    function = getattr(method, "__func__", method)
    return _compared(function, member, bound=function is not method)


@lru_cache(maxsize=1024)
def _compared(function: Callable[..., Any], member: Member, *, bound: bool) -> str:
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):  # written in C, or with a signature of its own making: nothing is known
        return ""
    assert member.signature is not None
    _, *given = member.signature.parameters.values()
    needed = [each for each in given if each.default is each.empty]
    if all(_binds(found, (None,) * bound, each) for each in (given, needed)):
        return ""
    return str(found).replace("'", "")


def _binds(found: inspect.Signature, first: tuple[None, ...], given: Sequence[inspect.Parameter]) -> bool:
    named = {each.name: None for each in given if each.kind is each.KEYWORD_ONLY}
    try:
        found.bind(*first, *[None] * (len(given) - len(named)), **named)
    except TypeError:
        return False
    return True


def _first_line(doc: str) -> str:
    return doc.partition("\n")[0]
