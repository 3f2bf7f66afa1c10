"""A module that does not follow the Protocol of its slot is refused when it is built, with the signature it lacks."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from llm_build import Config, Context, PluginError, build, component, load
from llm_build.components import ComponentInfo
from llm_build.interfaces import PROTOCOLS, SourceModel
from llm_build.protocols import asked, members, refuse_stranger
from llm_build_plugins import model, norm


class Made(nn.Module):
    """A module of any component; the tests give it methods."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__()


def refused(slot: str, module: Any, *capabilities: str) -> str:
    """What is said of a module in a slot; "" where it is taken."""
    info = ComponentInfo(slot, "acme.ring", 1, "acme_ring.module:Ring", frozenset(capabilities), {}, "")
    try:
        refuse_stranger(info, module)
    except PluginError as fault:
        return str(fault)
    return ""


def with_methods(**methods: Any) -> Any:
    return type("Ring", (nn.Module,), methods)()


HERE = "tests.core.test_protocols"
NAMED = "acme.ring is built as acme_ring.module:Ring, which must follow its slot: "
NORM = "forward(self, x: Tensor) -> Tensor: [..., D] → [..., D]; the statistics are those of the last axis alone."
MIXER = (
    "forward(self, x: Tensor, step: Step) -> Tensor: [B, T, D] → [B, T, D]; the only place where positions exchange "
    "information."
)


def test_a_module_without_its_method_is_told_its_signature() -> None:
    assert refused("norm", nn.Module()) == f"norm:{NAMED}it has no method {NORM}"


def test_what_has_a_forward_is_a_torch_module() -> None:
    ring = type("Ring", (), {"forward": lambda self, x: x})()
    assert refused("norm", ring) == f"norm:{NAMED}what has a forward derives from torch.nn.Module; Ring does not"


def test_a_placeholder_of_torch_is_no_forward() -> None:
    assert refused("norm", nn.ModuleList()) == f"norm:{NAMED}it has no method {NORM}"
    assert refused("norm", nn.Identity()) == ""


def test_everything_that_is_missing_is_said_at_once() -> None:
    found = refused("attention", nn.Module())
    assert found == f"attention:{NAMED}it has no attribute state_spec; it has no method {MIXER}"


@pytest.mark.parametrize(
    ("forward", "shown"),
    [
        (lambda self, x: x, "(x)"),
        (lambda self, x, step, mask: x, "(x, step, mask)"),
        (lambda self: 0, "()"),
        (lambda self, *, x, step: x, "(*, x, step)"),
    ],
)
def test_a_method_that_cannot_be_called_as_its_slot_calls_it_is_refused(forward: Any, shown: str) -> None:
    found = refused("attention", with_methods(forward=forward, state_spec={}))
    assert found.startswith(f"attention:{NAMED}its forward(self")
    assert found.endswith(f" cannot be called as {MIXER}")


@pytest.mark.parametrize(
    "forward", [lambda self, x, step: x, lambda self, y, s=None: y, lambda self, *args: 0, lambda self, x, step, z=1: x]
)
def test_names_and_more_arguments_with_defaults_are_free(forward: Any) -> None:
    assert refused("attention", with_methods(forward=forward, state_spec={})) == ""


def test_arguments_that_the_slot_gives_by_name_must_be_there() -> None:
    whole = build(model.decoder(dim=4, vocab=5, context=6, norm=norm.rms(), layers=BLOCK), device="meta")
    assert refused("model", whole) == ""
    whole.forward = lambda tokens, state=None, *, count=None: tokens
    assert "its forward(tokens, state=None, *, count=None) cannot be called as forward(self" in refused("model", whole)


def test_arguments_that_the_slot_leaves_out_must_have_defaults() -> None:
    whole = build(model.decoder(dim=4, vocab=5, context=6, norm=norm.rms(), layers=BLOCK), device="meta")
    whole.forward = lambda tokens, state, *, count=None, positions=None, documents=None: tokens
    assert "its forward(tokens, state, *," in refused("model", whole)


def test_what_a_torch_module_keeps_as_a_parameter_is_an_attribute() -> None:
    holding = with_methods(forward=lambda self, tokens: tokens)
    assert "it has no attribute weight" in refused("embedding", holding)
    holding.weight = nn.Parameter(torch.zeros(2, 3))
    assert refused("embedding", holding) == ""


def test_a_property_is_not_asked() -> None:
    class Later:
        pad = eos = None
        fit = encode = encode_batch = decode = save = load = lambda self, *args: None

        @property
        def vocab_size(self) -> int:
            raise RuntimeError("only when it is fitted")

    assert refused("tokenizer", Later()) == ""


def test_a_position_has_the_method_of_what_it_promises() -> None:
    rotating = with_methods(rotate=lambda self, x, positions: x)
    assert refused("position", rotating, "rotary") == ""
    assert "it has no method embed(self, x: Tensor, positions: Tensor)" in refused("position", rotating, "additive")


def test_a_model_that_promises_an_encoder_has_one() -> None:
    decoder = build(model.decoder(dim=4, vocab=5, context=6, norm=norm.rms(), layers=BLOCK), device="meta")
    assert refused("model", decoder, "cache") == ""
    assert "it has no method encode(self, tokens: Tensor, count: Tensor | None = None)" in refused(
        "model", decoder, "encoder"
    )


def test_nothing_is_asked_in_a_slot_of_somebody_else() -> None:
    assert refused("retriever", object()) == ""


@pytest.mark.parametrize("protocol", [*PROTOCOLS.values(), SourceModel], ids=lambda each: each.__name__)
def test_every_member_of_a_protocol_is_asked_for(protocol: Any) -> None:
    bases = [each for each in protocol.__mro__ if each.__module__ == "llm_build.interfaces"]
    names = {name for each in bases for name in (*each.__annotations__, *vars(each)) if not name.startswith("_")}
    assert {each.name for each in members(protocol)} == names
    assert names
    for each in members(protocol):
        assert (each.signature is None) == all(not inspect.isfunction(getattr(base, each.name, None)) for base in bases)


def test_no_slot_is_left_without_a_question() -> None:
    every = frozenset({"rotary", "additive", "encoder"})
    assert all(asked(slot, every) for slot in PROTOCOLS)


# --- at the door ---


class NoForward(Made):
    pass


class OneArgument(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x


def raising(config: Config, context: Context) -> nn.Module:
    raise TypeError("a fault of its own")


@component("norm:acme.bare", module=f"{HERE}:NoForward")
class bare(Config):
    pass


@component("norm:acme.lone", module=f"{HERE}:OneArgument")
class lone(Config):
    pass


@component("norm:acme.gone", module="acme_gone.module:Gone")
class gone(Config):
    pass


@component("norm:acme.nameless", module=f"{HERE}:Gone")
class nameless(Config):
    pass


@component("norm:acme.own", module=f"{HERE}:raising")
class own(Config):
    pass


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            bare(),
            f"acme.bare is built as {HERE}:NoForward, which must follow its slot: it has no method {NORM}",
        ),
        (
            lone(),
            f"acme.lone is built as {HERE}:OneArgument, which must take (config, context): too many positional",
        ),
        (
            gone(),
            "acme.gone names its module acme_gone.module:Gone, which cannot be imported: ModuleNotFoundError",
        ),
        (nameless(), f"norm:acme.nameless names its module {HERE}:Gone, which cannot be imported: AttributeError"),
    ],
)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a model"])
def test_a_component_that_breaks_its_promise_is_refused_when_it_is_built(
    config: Config, message: str, inside: bool
) -> None:
    whole = model.decoder(dim=4, vocab=5, context=6, norm=config, layers=BLOCK) if inside else config
    with pytest.raises(PluginError) as caught:
        build(whole, context=Context(dim=4), device="meta")
    assert message in str(caught.value)


def test_a_fault_inside_a_constructor_stays_what_it_is() -> None:
    with pytest.raises(TypeError, match="a fault of its own"):
        build(own(), context=Context(dim=4))


BLOCK = load(
    "llm 1\nmodel = decoder { dim = 4, vocab = 5, context = 6, norm = rms\n"
    "layers = block { norm = rms, attention = mha { heads = 1 }, ffn = mlp } }\n"
).model.layers
