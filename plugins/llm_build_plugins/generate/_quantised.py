"""The model that writes, where a quantiser makes it."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from llm_build.interfaces import Quantizer


class Quantised:
    """Keeps the last model that was made, until the one that it was made of is another or gone."""

    def __init__(self, quantizer: Quantizer | None) -> None:
        self._quantizer = quantizer
        self._source: weakref.ref[Any] | None = None
        self._build: list[tuple[object, ...]] = []
        self._made: Any = None
        self._turn = threading.RLock()

    def of(self, model: Any) -> Any:
        """The model itself without a quantiser."""
        if self._quantizer is None:
            return model
        with self._turn:
            build = build_of(model)
            if self._source is None or self._source() is not model or self._build != build:
                self._made = None  # what is there goes first: both may not fit
                self._made = self._quantizer.quantize(model)
                self._source, self._build = weakref.ref(model, self._forget), build
            return self._made

    def _forget(self, _: object) -> None:
        self._made = None


def build_of(model: nn.Module) -> list[tuple[object, ...]]:
    """What a model is at this moment, to be compared with what it was: neither a graph nor a copy shows what changed.

    Its parts with their modes and hooks; its tensors, where each is, and how often a weight was written to, which torch
    counts of no inference tensor.
    """
    found: list[tuple[object, ...]] = []
    left = [model]
    while left:  # `modules` makes a name for each, which takes the most time
        each = left.pop()
        found.append((id(each), each.training, *each._forward_pre_hooks, -1, *each._forward_hooks))
        weights = (one for one in each._parameters.values() if one is not None)
        found += ((id(one), one.data_ptr(), 0 if one.is_inference() else one._version) for one in weights)
        found += ((id(one), one.data_ptr()) for one in each._buffers.values() if one is not None)
        left += (part for part in each._modules.values() if part is not None)
    return found
