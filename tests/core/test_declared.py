"""What `@component` refuses, with what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import attrs
import pytest

from llm_build import Config, PluginError, choice, component, flag, many, number, part, parts, size
from llm_build.components import field_specs
from llm_build.components.names import CAPABILITIES
from llm_build.registry import installed

MODULE = "torch.nn:Identity"


def declared(identity: str = "norm:acme.ring", fields: Any = ({}, {}), **options: Any) -> type[Config]:
    """A component whose class has some annotations and values."""
    annotations, values = fields
    cls = type("ring", (Config,), {"__annotations__": annotations, **values})
    return component(identity, **{"module": MODULE, **options})(cls)


def field(annotation: Any, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"eps": annotation}, {"eps": value}


OF = "of norm:acme.ring"
IDS = {
    "norm:Acme.ring": 'a component is named "slot:name" in lower case, such as "norm:acme.ring"; "norm:Acme.ring"',
    "norm": 'a component is named "slot:name" in lower case, such as "norm:acme.ring"; "norm" arrived',
    "norm:": 'a component is named "slot:name" in lower case',
    "norm:acme.": 'a component is named "slot:name" in lower case',
    "norm:acme-ring": 'a component is named "slot:name" in lower case',
    "a.norm:ring": 'a component is named "slot:name" in lower case',
    "norm:2d": 'a component is named "slot:name" in lower case',
    "norm:let.ring": "let is a word of the language, so no spec could name norm:let.ring; choose another",
    "norm:acme.none": "none is a word of the language",
    "norm:true": "true is a word of the language",
    "norm:model.ring": "model is a word of the language",
    "norm:count.ring": "count is a word of the language",
    "norm:llm_build.ring": 'llm_build is a namespace of llm-build; name norm:llm_build.ring "norm:acme.ring", say',
    "norm:llm_build_plugins.ring": "llm_build_plugins is a namespace of llm-build",
    "norm:builtin.ring": "builtin is a namespace of llm-build",
    "spec:acme.ring": "slot spec is the root of every spec; give spec:acme.ring another slot",
}
FIELDS = {
    "a mutable default without a field function": (
        field("list[float]", [0.9, 0.95]),
        "a mutable default, and nothing that says what a spec may write: write eps: list[float] = many(number(), d",
    ),
    "a mutable default within one": (
        field("tuple[float, ...]", many(number(), default=[0.9, 0.95])),
        f"the field eps {OF} has a mutable default: write default=(0.9, 0.95), which is not",
    ),
    "a Literal": (
        field("Literal['a', 'b']", "a"),
        "nothing that says what a spec may write: write eps: Literal['a', 'b'] = choice(…, default='a')",
    ),
    "a choice of nothing": (
        field("str", choice()),
        f'the field eps {OF} has nothing to choose from: write choice("one", "other")',
    ),
    "a part of a slot that no spec could name": (
        field("Config", part("Norm")),
        f'the field eps {OF} takes a component of a slot, named in lower case as in part("norm"); "Norm" arrived',
    ),
    "inheriting what is near to what a context tells": (
        field("int", size(inherit="dims")),
        f'the field eps {OF} inherits "dims", which nobody tells: write inherit="dim"',
    ),
    "inheriting what no context tells": (
        field("int", size(inherit="colour")),
        f'the field eps {OF} inherits "colour", which nobody tells: a context tells dim, vocab, context, depth',
    ),
    "no annotation": (
        ({}, {"eps": number(default=1e-5)}),
        f"the field eps {OF} has no annotation: write eps: float = …",
    ),
    "no annotation, beside one that has": (
        ({"bias": "bool"}, {"bias": flag(), "mask": part("mask")}),
        f"the field mask {OF} has no annotation: write mask: Config = …",
    ),
    "a bare value": (
        ({}, {"eps": 1e-5}),
        "is no field: write eps: float = number(default=1e-05), or, for a constant, eps: ClassVar = 1e-05",
    ),
    "a bare list": (({}, {"eps": [1]}), "write eps: list = many(number(), default=(1,)), or, for a constant,"),
    "a field that is none of ours": (
        field("float", attrs.field(default=1.0)),
        f"the field eps {OF} has nothing that says what a spec may write: write eps: float = number()",
    ),
    "a plain default": (
        field(int, 3),
        f"the field eps {OF} has nothing that says what a spec may write: write eps: int = size(default=3)",
    ),
    "no value at all": (({"eps": "bool"}, {}), "write eps: bool = flag()"),
    "a component without part": (({"eps": "Config | None"}, {}), 'write eps: Config | None = part("slot")'),
    "a dictionary": (
        field("dict[str, int]", attrs.field()),
        f"the field eps {OF} is a dict, which the language cannot express: it has whole numbers, numbers,",
    ),
    "a dictionary that says it is a size": (field("dict[str, int]", size()), f"the field eps {OF} is a dict, which"),
    "a function": (field("Callable[[int], int] | None", None), f"the field eps {OF} is a Callable, which the language"),
    "a type of torch": (field("torch.dtype", number()), f"the field eps {OF} is a dtype, which the language cannot"),
    "a type that nobody knows": (
        field("Ring", attrs.field()),
        f"the field eps: Ring {OF} is none that the language can express: it has whole numbers",
    ),
    "a default that the field refuses": (
        field("int", size(default=0)),
        f"the default of the field eps {OF} is refused: it takes a whole number of at least 1; 0 arrived",
    ),
    "a choice that is none": (
        field("str", choice("mean", "last", default="first")),
        f'the default of the field eps {OF} is refused: it takes one of "mean", "last"; "first" arrived',
    ),
    "none where none is not taken": (
        field("float", number(default=None)),
        f"the field eps {OF} has the default None: write optional=True beside it",
    ),
    "a keyword": (({"let": "int"}, {"let": size()}), "let is a word of the language: give the field let of norm:acme"),
    "a root field": (({"data": "int"}, {"data": size()}), "data is a word of the language: give the field data of"),
    "a name of every config": (({"build": "int"}, {"build": size()}), "every config has a build of its own: give the"),
    "a name in capitals": (({"Eps": "int"}, {"Eps": size()}), "a field is named in lower case, such as head_dim;"),
    "a private name": (({"_eps": "int"}, {"_eps": size()}), "a field is named in lower case, such as head_dim;"),
}
DECLARATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "a position that nothing would use": (
        {"identity": "position:acme.ring"},
        'position:acme.ring must say how it is used, or nothing would use it: write capabilities=["rotary"], or "addit',
    ),
    "an unknown capability": (
        {"capabilities": ["casual"]},
        'norm:acme.ring promises "casual", which no component can; write "causal"; one of your own is "acme.casual"',
    ),
    "a capability like no other": (
        {"capabilities": ["flies"]},
        f"which no component can; there are {', '.join(sorted(CAPABILITIES))}; one of your own",
    ),
    "a string of capabilities": ({"capabilities": "causal"}, 'a list of capabilities: write capabilities=["causal"]'),
    "a module without a class": (
        {"module": "acme.ring"},
        "norm:acme.ring names its module as \"package.module:Class\"; 'acme.ring' arrived",
    ),
    "a class as a module": ({"module": Config}, 'names its module as "package.module:Class"; <class'),
    "a version of words": (
        {"version": "1.0"},
        "the version of norm:acme.ring is a whole number from 1 on; '1.0' arrived",
    ),
    "version nought": ({"version": 0}, "the version of norm:acme.ring is a whole number from 1 on; 0 arrived"),
}


@pytest.mark.parametrize("identity", IDS)
def test_a_bad_name_is_refused(identity: str) -> None:
    with pytest.raises(PluginError) as caught:
        declared(identity)
    assert IDS[identity] in str(caught.value)


@pytest.mark.parametrize("kind", FIELDS)
def test_a_field_that_the_language_cannot_use_is_refused(kind: str) -> None:
    fields, message = FIELDS[kind]
    with pytest.raises(PluginError) as caught:
        declared(fields=fields)
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", DECLARATIONS)
def test_a_bad_declaration_is_refused(kind: str) -> None:
    options, message = DECLARATIONS[kind]
    with pytest.raises(PluginError) as caught:
        declared(**options)
    assert message in str(caught.value)


def test_a_class_that_is_no_config_is_refused() -> None:
    with pytest.raises(PluginError, match=r"must derive from Config: class ring\(Config\)"):
        component("norm:acme.ring", module=MODULE)(type("ring", (), {}))  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: many(3), r"many takes what each element is, such as many\(number\(\)\); 3 arrived"),
        (lambda: many(part("norm")), r'plain values, not a component of slot norm: write parts\("slot"\)'),
        (lambda: many(many(size())), "plain values, not a list of at least 0, each .*: write one list, or two fields"),
    ],
)
def test_a_list_of_what_no_list_can_hold_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        make()


def test_what_is_not_a_field_may_stand_beside_the_fields() -> None:
    @component("norm:acme.whole", module=MODULE, capabilities=["causal", "acme.rings"])
    class whole(Config):
        """Everything that a class may hold."""

        LIMIT: ClassVar[int] = 3
        _hidden = 4

        eps: float = number(default=1e-5)
        inner: Config | None = part("norm", default="rms", optional=True)
        other: object = part("norm", default="rms")
        layers: Any = parts("block", optional=True)

        @property
        def twice(self) -> float:
            return 2 * self.eps

        @staticmethod
        def three() -> int:
            return 3

    assert list(field_specs(whole)) == ["eps", "inner", "other", "layers"]


def test_every_capability_of_a_built_in_is_known_and_every_known_one_is_used() -> None:
    used = {each for entry in installed().entries() for each in entry.config().__component__.capabilities}
    assert used == set(CAPABILITIES)
