"""What a component, its slot and its fields may be called, and what a component may promise."""

from __future__ import annotations

import re
from collections.abc import Mapping

from llm_build.errors import PluginError
from llm_build.language.values import similar
from llm_build.language.words import FUNCTIONS, KEYWORDS, ROOTS

WORD = re.compile(r"[a-z_][a-z0-9_]*")
NAME = re.compile(rf"{WORD.pattern}(\.{WORD.pattern})*")
OURS = frozenset({"builtin", "llm", "llm_build", "llm_build_plugins"})
"""Namespaces that nobody's component may take."""
ROOT_SLOT = "spec"

CAPABILITIES: Mapping[str, str] = {
    "additive": "a position that is added once to what the embedding gives",
    "cache": "decodes with a cache: pieces of a sequence give what the whole gives",
    "causal": "an output never depends on what comes after it",
    "encoder": "a model that reads a source before it writes",
    "grouped": "can be many experts in one: its weights and rows come by expert",
    "lossless": "a tokenizer whose decode gives back any text as it was",
    "normalised": "a router whose weights sum to 1 at every position",
    "nucleus": "a sampler that leaves the fewest likeliest tokens which hold the share `p` of the probability",
    "relative": "moving a whole sequence along changes nothing",
    "residual": "an initialiser that draws what writes into the residual stream the smaller, the deeper the model is",
    "rotary": "a position that rotates queries and keys",
    "window": "reads the latest positions only",
}
"""What a component may promise in `capabilities`."""


def refuse_bad_id(identity: str) -> None:
    """Raises `PluginError`, which says what to write, for an id that no spec could name."""
    slot, _, name = identity.partition(":")
    if not WORD.fullmatch(slot) or not NAME.fullmatch(name):
        raise PluginError(
            f'a component is named "slot:name" in lower case, such as "norm:acme.ring"; "{identity}" arrived'
        )
    if slot == ROOT_SLOT and name != ROOT_SLOT:
        raise PluginError(f"slot {ROOT_SLOT} is the root of every spec; give {identity} another slot")
    first, *others = words = name.split(".")
    taken = KEYWORDS.union(ROOTS, FUNCTIONS if others else ())
    for word in words:
        if word in (taken if word is first else KEYWORDS):
            raise PluginError(f"{word} is a word of the language, so no spec could name {identity}; choose another")
    if others and first in OURS:
        raise PluginError(f'{first} is a namespace of llm-build; name {identity} "{slot}:acme.{words[-1]}", say')


def refuse_bare(identity: str) -> None:
    """Raises `PluginError` for a name without a namespace: those are the built-ins', now and later."""
    slot, _, name = identity.partition(":")
    if "." not in name:
        raise PluginError(
            f"{identity} has no namespace, and names without one are the built-ins'; "
            f'name it "{slot}:acme.{name}", with a word of yours for acme'
        )


def refuse_capability(identity: str, capability: object) -> None:
    """Raises `PluginError` for a promise that nobody knows."""
    if capability in CAPABILITIES or (isinstance(capability, str) and "." in capability and NAME.fullmatch(capability)):
        return
    near = similar(str(capability), sorted(CAPABILITIES))
    advice = f'write "{near}"' if near else f"there are {', '.join(sorted(CAPABILITIES))}"
    raise PluginError(
        f'{identity} promises "{capability}", which no component can; {advice}; one of your own is "acme.{capability}"'
    )
