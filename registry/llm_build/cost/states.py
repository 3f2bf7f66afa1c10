"""What a model keeps of a text while it writes, in bytes, as its `state_spec` says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import attrs
import torch

from llm_build.components import id_of, walk
from llm_build.context import Context

if TYPE_CHECKING:
    from llm_build.step import Field, StateSpec

TokenBytes = Callable[["Field"], int]
"""What a token of a field takes whose dtype is stated, as a cache stores it."""


@attrs.frozen(kw_only=True)
class Kept:
    """Bytes that one layer keeps of one text.

    token     for each token, as long as the text grows
    latest    for each of the latest tokens, as many as its window has: no older one is read
    sequence  however long the text is
    memory    for each place of what an encoder made
    windows   (bytes a token, window) for each field of `latest`
    """

    token: int = 0
    sequence: int = 0
    memory: int = 0
    windows: tuple[tuple[int, int], ...] = ()

    @property
    def latest(self) -> int:
        return sum(size for size, _ in self.windows)

    def at(self, tokens: int, places: int) -> int:
        """Bytes for a text of so many tokens and, where an encoder is read, so many places of its memory."""
        bounded = sum(size * min(tokens, window) for size, window in self.windows)
        return self.token * tokens + bounded + self.sequence + self.memory * places


def kept(layer: Mapping[str, StateSpec], dtype: torch.dtype, token_bytes: TokenBytes | None = None) -> Kept:
    """The bytes of one entry of a model's `state_spec`, where fields that state no dtype have this one.

    `token_bytes` says what a token of a field takes; as much as its numbers, unless a cache codes them.
    """
    fields = [replace(field, dtype=field.dtype or dtype) for spec in layer.values() for field in spec.values()]
    sizes = {"token": 0, "sequence": 0, "memory": 0}
    windows: dict[int, int] = {}
    for field in fields:
        size = (token_bytes or _bytes)(field) if field.per == "token" else _bytes(field)
        if field.per == "token" and field.reach is not None:
            windows[field.reach] = windows.get(field.reach, 0) + size
        else:
            sizes[field.per] += size
    return Kept(**sizes, windows=tuple((size, window) for window, size in sorted(windows.items())))


def kinds(layers: Sequence[Kept]) -> list[tuple[int, Kept]]:
    """How many layers keep what, in the order in which each kind is met first."""
    counts: dict[Kept, int] = {}
    for each in layers:
        counts[each] = counts.get(each, 0) + 1
    return [(count, each) for each, count in counts.items()]


def all_kept(model: Any, dtype: torch.dtype, writes: Any = None) -> list[Kept]:
    """What each layer of a model keeps, as the cache in the config `writes` of its generator stores it."""
    token_bytes = _stored_by(writes)
    return [kept(layer, dtype, token_bytes) for layer in model.state_spec]


def _stored_by(writes: Any) -> TokenBytes | None:
    """What a token of a field takes in the first cache of a config; None where there is none, or it does not say."""
    caches = [] if writes is None else [each for each in walk(writes) if id_of(each).startswith("cache:")]
    token_bytes: TokenBytes | None = getattr(caches[0].build(Context()), "token_bytes", None) if caches else None
    return token_bytes


def _bytes(field: Field) -> int:
    assert field.dtype is not None, "`kept` states it"
    return math.prod(field.shape) * field.dtype.itemsize
