"""Batch: the examples of one pass. Legend: B rows, T tokens, M tokens of a source, D model dim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from torch import Tensor

IGNORED = -100
"""A target that does not count."""


@attrs.frozen(kw_only=True, eq=False)
class Batch:
    """What a model reads, and what it should have said.

    tokens        [B, T] int64
    targets       [B, T] int64: what follows each token; `IGNORED` does not count
    count         [B] int64: real tokens, first in their row; None = all T
    source        [B, M] int64: what an encoder reads; None without one
    source_count  [B] int64: real tokens of the source; None = all M
    """

    tokens: Tensor
    targets: Tensor
    count: Tensor | None = None
    source: Tensor | None = None
    source_count: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with every tensor changed, such as moved to a device."""

        def each(value: Tensor | None) -> Tensor | None:
            return None if value is None else change(value)

        return Batch(
            tokens=change(self.tokens),
            targets=change(self.targets),
            count=each(self.count),
            source=each(self.source),
            source_count=each(self.source_count),
        )

    def counted(self) -> int:
        """How many targets count. Waits for the device that the batch is on."""
        return int((self.targets != IGNORED).sum())

    def hidden(self, model: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
        """What the model's head receives [B, T, D], and the losses of all its layers."""
        if self.source is None:
            hidden, losses = model.hidden(self.tokens, count=self.count)
            return hidden, losses
        memory, more = model.encoded(self.source, self.source_count)
        hidden, losses = model.hidden(self.tokens, count=self.count, memory=memory, memory_count=self.source_count)
        return hidden, {name: losses.get(name, 0) + more.get(name, 0) for name in {**losses, **more}}
