"""The model that writes, where a quantiser makes it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from llm_build.interfaces import Quantizer


class Quantised:
    """Keeps the last model that was made, until the one that it was made of has other weights or is gone."""

    def __init__(self, quantizer: Quantizer | None) -> None:
        self._quantizer = quantizer
        self._source: weakref.ref[Any] | None = None
        self._weights: list[tuple[int, int, int]] = []
        self._made: Any = None

    def of(self, model: Any) -> Any:
        """The model itself without a quantiser."""
        if self._quantizer is None:
            return model
        weights = weights_of(model)
        if self._source is None or self._source() is not model or self._weights != weights:
            self._made = None  # what is there goes first: both may not fit
            self._made = self._quantizer.quantize(model)
            self._source, self._weights = weakref.ref(model, self._forget), weights
        return self._made

    def _forget(self, _: object) -> None:
        self._made = None


def weights_of(model: nn.Module) -> list[tuple[int, int, int]]:
    """Which tensors a model has, where, and how often each was written to; torch counts that of no inference tensor."""
    return [(id(each), each.data_ptr(), 0 if each.is_inference() else each._version) for each in model.parameters()]
