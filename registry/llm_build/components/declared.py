"""What a class must be to become a component: every declaration that the language cannot use is refused with what to
write instead, before anybody names the component in a spec."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from llm_build.components.fields import KEY, FieldSpec
from llm_build.components.kinds import (
    AmountKind,
    ChoiceKind,
    FlagKind,
    ManyKind,
    NumberKind,
    PartKind,
    PartsKind,
    ShareKind,
    SizeKind,
)
from llm_build.components.names import WORD, refuse_bad_id, refuse_capability
from llm_build.components.values import UNSET, Refusal
from llm_build.context import Context
from llm_build.errors import PluginError
from llm_build.language.values import similar
from llm_build.language.words import KEYWORDS, ROOTS

_MARK = type(attrs.field())  # what attrs puts in a class until it makes a field of it
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_CONSTANT = re.compile(r"(\w+\.)*ClassVar\b")
_STRANGE = frozenset(
    {
        *[
            "dict",
            "Dict",
            "Mapping",
            "MutableMapping",
            "OrderedDict",
            "defaultdict",
            "set",
            "Set",
            "frozenset",
            "FrozenSet",
        ],
        *["bytes", "bytearray", "complex", "Callable", "type", "Type"],
        *["Tensor", "Module", "Parameter", "dtype", "device", "ndarray", "datetime", "date", "timedelta"],
    }
)
"""Words of an annotation that no field of a spec can hold."""
_FUNCTIONS = {
    "bool": "flag()",
    "int": "size()",
    "float": "number()",
    "str": "text()",
    "Share": "share()",
    "Literal": "choice(…)",
    "Path": "path()",
    "Config": 'part("slot")',
    "tuple": "many(number())",
    "list": "many(number())",
    "Sequence": "many(number())",
}
"""What makes a field of a type, to be written instead."""
_PYTHON = {
    SizeKind: "int",
    NumberKind: "float",
    AmountKind: "int | Share",
    ShareKind: "Share",
    FlagKind: "bool",
    ManyKind: "tuple[…]",
    PartKind: "Config",
    PartsKind: "tuple[Config, ...]",
}
"""The annotation of a field; any other kind is a string."""
_EXPRESSIBLE = "whole numbers, numbers, shares, true and false, strings, paths, choices, lists of these, and components"


def refuse_bad_declaration(
    identity: str, module: str, version: int, capabilities: Iterable[str], opt_outs: Mapping[str, str]
) -> None:
    """Raises `PluginError` for what `@component` was given."""
    refuse_bad_id(identity)
    if not isinstance(module, str) or not _MODULE.fullmatch(module):
        raise PluginError(f'{identity} names its module as "package.module:Class"; {module!r} arrived')
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise PluginError(f"the version of {identity} is a whole number from 1 on; {version!r} arrived")
    if isinstance(capabilities, str):
        raise PluginError(f'{identity} has a list of capabilities: write capabilities=["{capabilities}"]')
    for each in capabilities:
        refuse_capability(identity, each)
    for check, reason in opt_outs.items():
        if not isinstance(reason, str) or not reason.strip():
            raise PluginError(f'{identity} opts out of {check} without a reason: write opt_outs={{"{check}": "why"}}')
    if identity.startswith("position:") and not capabilities:
        raise PluginError(
            f'{identity} must say how it is used, or nothing would use it: write capabilities=["rotary"], or "additive"'
        )


def refuse_bad_fields(cls: type, base: type, identity: str) -> None:
    """Raises `PluginError` for a field of a class, before attrs sees it. `base` has names that no field may take."""
    annotations = cls.__annotations__
    for name, value in vars(cls).items():
        if name not in annotations:
            _refuse_unannotated(identity, name, value)
    for name, annotation in annotations.items():
        if _CONSTANT.match(_shown(annotation)):
            continue
        _refuse_name(identity, name, base)
        _refuse_field(identity, name, _shown(annotation), vars(cls).get(name, UNSET))


def _refuse_unannotated(identity: str, name: str, value: Any) -> None:
    if isinstance(value, _MARK):
        spec: FieldSpec | None = value.metadata.get(KEY)
        python = _PYTHON.get(type(spec.kind), "str") if spec else "…"
        raise PluginError(f"the field {name} of {identity} has no annotation: write {name}: {python} = …")
    if name.startswith("_") or hasattr(type(value), "__get__") or isinstance(value, type):
        return
    kind = _FUNCTIONS.get(type(value).__name__)
    field = f"{name}: {type(value).__name__} = {_with_default(kind, value)}, or, " if kind else ""
    raise PluginError(
        f"{name} = {value!r} in {identity} is no field: write {field}for a constant, {name}: ClassVar = {value!r}"
    )


def _refuse_name(identity: str, name: str, base: type) -> None:
    if name in KEYWORDS or (name in ROOTS and identity != "spec:spec"):
        raise PluginError(f"{name} is a word of the language: give the field {name} of {identity} another name")
    if hasattr(base, name):
        raise PluginError(f"every config has a {name} of its own: give the field {name} of {identity} another name")
    if not WORD.fullmatch(name) or name.startswith("_"):
        raise PluginError(f"a field is named in lower case, such as head_dim; {identity} has {name}")


def _refuse_field(identity: str, name: str, annotation: str, value: Any) -> None:
    strange = next((word for word in re.findall(r"\w+", annotation) if word in _STRANGE), None)
    if strange:
        raise PluginError(
            f"the field {name} of {identity} is a {strange}, which the language cannot express: it has {_EXPRESSIBLE}"
        )
    if not isinstance(value, _MARK) or KEY not in value.metadata:
        _refuse_plain(identity, name, annotation, value)
    spec = value.metadata[KEY]
    _refuse_kind(identity, name, spec)
    _refuse_default(identity, name, spec)


def _refuse_plain(identity: str, name: str, annotation: str, value: Any) -> None:
    """A field that was made as attrs or dataclasses make one: nothing says what a spec may write for it."""
    kind = next((_FUNCTIONS[word] for word in re.findall(r"\w+", annotation) if word in _FUNCTIONS), None)
    if kind is None:
        raise PluginError(
            f"the field {name}: {annotation} of {identity} is none that the language can express: it has {_EXPRESSIBLE}"
        )
    mutable = "a mutable default, and " if isinstance(value, (list, dict, set)) else ""
    default = UNSET if isinstance(value, _MARK) else value
    raise PluginError(
        f"the field {name} of {identity} has {mutable}nothing that says what a spec may write: "
        f"write {name}: {annotation} = {_with_default(kind, default)}"
    )


def _refuse_kind(identity: str, name: str, spec: FieldSpec) -> None:
    """What a field function was given that no spec, and no context, could ever serve."""
    if isinstance(spec.kind, PartKind | PartsKind) and not WORD.fullmatch(str(spec.kind.slot)):
        raise PluginError(
            f'the field {name} of {identity} takes a component of a slot, named in lower case as in part("norm"); '
            f'"{spec.kind.slot}" arrived'
        )
    if isinstance(spec.kind, ChoiceKind) and not spec.kind.options:
        raise PluginError(f'the field {name} of {identity} has nothing to choose from: write choice("one", "other")')
    if spec.inherit is not None and spec.inherit not in (told := attrs.fields_dict(Context)):
        near = similar(spec.inherit, list(told))
        advice = f'write inherit="{near}"' if near else f"a context tells {', '.join(told)}"
        raise PluginError(f'the field {name} of {identity} inherits "{spec.inherit}", which nobody tells: {advice}')


def _refuse_default(identity: str, name: str, spec: FieldSpec) -> None:
    default = spec.default
    if isinstance(default, (list, dict, set)):
        raise PluginError(
            f"the field {name} of {identity} has a mutable default: write default={_frozen(default)}, which is not"
        )
    if default is None and not spec.optional:
        raise PluginError(f"the field {name} of {identity} has the default None: write optional=True beside it")
    named = isinstance(default, str) and isinstance(spec.kind, PartKind | PartsKind)
    refusal = None if default in (UNSET, None) or named else spec.kind.accept(default)
    if isinstance(refusal, Refusal):
        advice = f"; {refusal.help}" if refusal.help else ""
        raise PluginError(f"the default of the field {name} of {identity} is refused: it {refusal.message}{advice}")


def _with_default(kind: str | None, default: Any) -> str:
    if kind is None or default is UNSET:
        return kind or "…"
    comma = "" if kind.endswith("()") else ", "
    return f"{kind[:-1]}{comma}default={_frozen(default)})"


def _frozen(value: Any) -> str:
    return repr(tuple(value)) if isinstance(value, (list, dict, set)) else repr(value)


def _shown(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
