"""Components: config classes, their fields and slots. Torch-free."""

from llm_build.components.config import ComponentInfo, Config, Origin, can, component, id_of, instantiate, walk
from llm_build.components.fields import (
    FieldSpec,
    amount,
    choice,
    divided,
    divisors,
    field_specs,
    flag,
    many,
    number,
    part,
    parts,
    path,
    share,
    size,
    text,
)
from llm_build.components.kinds import ManyKind, PartKind, PartsKind, PathKind
from llm_build.components.values import UNSET, Problem, Refusal, Unset
from llm_build.language.values import Share

__all__ = [
    "UNSET",
    "ComponentInfo",
    "Config",
    "FieldSpec",
    "ManyKind",
    "Origin",
    "PartKind",
    "PartsKind",
    "PathKind",
    "Problem",
    "Refusal",
    "Share",
    "Unset",
    "amount",
    "can",
    "choice",
    "component",
    "divided",
    "divisors",
    "field_specs",
    "flag",
    "id_of",
    "instantiate",
    "many",
    "number",
    "part",
    "parts",
    "path",
    "share",
    "size",
    "text",
    "walk",
]
