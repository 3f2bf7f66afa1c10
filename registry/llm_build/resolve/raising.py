"""Configs → text: the way back from lowering. Only what a config states is written."""

from __future__ import annotations

from typing import Any

from llm_build.components import UNSET, Config, FieldSpec, PartKind, PartsKind, Refusal, field_specs
from llm_build.diagnostics import Diagnostic
from llm_build.errors import SpecError
from llm_build.language.writer import Written, write_spec
from llm_build.spec import Spec


def write(config: Config) -> str:
    """A config as the text of a spec: `load(write(config)) == config`.

    A config other than a whole `Spec` must be a model; it is written as the spec of that model.
    """
    return write_spec(raised(config if isinstance(config, Spec) else Spec(model=config)))


def raised(config: Config) -> Written:
    """A config as a tree of texts. Raises `SpecError` for a value that its field cannot take."""
    fields = tuple(
        (name, _value(config, name, spec, getattr(config, name)))
        for name, spec in field_specs(config).items()
        if getattr(config, name) is not UNSET
    )
    return Written(config.__component__.name, fields)


def _value(config: Config, name: str, spec: FieldSpec, value: Any) -> Any:
    if value is None and spec.optional:
        return "none"
    accepted = spec.kind.accept(value)
    if isinstance(accepted, Refusal):
        message = f"{config.__component__.name}: {name} {accepted.message}"
        raise SpecError([Diagnostic(code="E301", message=message, help=accepted.help)])
    if isinstance(spec.kind, PartKind):
        return raised(accepted)
    if isinstance(spec.kind, PartsKind):
        memo = {id(each): each for each in accepted}
        made = {key: raised(each) for key, each in memo.items()}
        return tuple(made[id(each)] for each in accepted)
    return spec.kind.write(accepted)
