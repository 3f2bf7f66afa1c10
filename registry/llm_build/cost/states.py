"""What a model keeps of a text while it writes, in bytes, as its `state_spec` says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch

if TYPE_CHECKING:
    from llm_build.step import Field, StateSpec


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


def kept(layer: Mapping[str, StateSpec], dtype: torch.dtype) -> Kept:
    """The bytes of one entry of a model's `state_spec`, where fields that state no dtype have this one."""
    fields = [field for spec in layer.values() for field in spec.values()]
    sizes = {"token": 0, "sequence": 0, "memory": 0}
    windows: dict[int, int] = {}
    for field in fields:
        if field.per == "token" and field.reach is not None:
            windows[field.reach] = windows.get(field.reach, 0) + _bytes(field, dtype)
        else:
            sizes[field.per] += _bytes(field, dtype)
    return Kept(**sizes, windows=tuple((size, window) for window, size in sorted(windows.items())))


def kinds(layers: Sequence[Kept]) -> list[tuple[int, Kept]]:
    """How many layers keep what, in the order in which each kind is met first."""
    counts: dict[Kept, int] = {}
    for each in layers:
        counts[each] = counts.get(each, 0) + 1
    return [(count, each) for each, count in counts.items()]


def all_kept(model: Any, dtype: torch.dtype) -> list[Kept]:
    """What each layer of a model keeps."""
    return [kept(layer, dtype) for layer in model.state_spec]


def _bytes(field: Field, dtype: torch.dtype) -> int:
    return math.prod(field.shape) * (field.dtype or dtype).itemsize
