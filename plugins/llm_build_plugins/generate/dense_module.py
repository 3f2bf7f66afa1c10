"""The dense cache: cell j of a row holds its token j. Legend: B rows, T new positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from llm_build import InOrder
from llm_build_plugins.generate._layout import Layout, token_bytes
from llm_build_plugins.generate._ring import RingView, is_ring

if TYPE_CHECKING:
    from llm_build import Context, Field, Sizes, StateSpec, Step
    from llm_build.interfaces import Codec
    from llm_build_plugins.generate.dense_config import dense


class DenseCache:
    """Lays out what a mixer keeps per token as [B, capacity + 1, …], or as a ring where its reach is shorter."""

    def __init__(self, config: dense, context: Context) -> None:
        self.codec = config.part("codec", context)

    def view(self, spec: StateSpec, sizes: Sizes, like: Tensor) -> Layout:
        """A ring where that takes fewer cells."""
        return (RingView if is_ring(spec, sizes) else DenseView)(spec, sizes, like, self.codec)

    def token_bytes(self, field: Field) -> int:
        return token_bytes(self.codec, field)


class DenseView(Layout):
    """The cells of one mixer. The last one takes what is no token, at index -1, and is never read."""

    def __init__(self, spec: StateSpec, sizes: Sizes, like: Tensor, codec: Codec) -> None:
        super().__init__(spec, sizes, like, codec)
        self.row = torch.arange(sizes.rows, device=like.device)[:, None]
        self.cells = self.zeros(sizes.rows, sizes.capacity + 1, like=like)

    def range(self, start: int, stop: int) -> Self:
        made = super().range(start, stop)
        made.row = self.row[: stop - start]
        return made

    def write(self, planes: Mapping[str, Tensor], step: Step) -> InOrder:
        for name, value in planes.items():
            self.cells[name][self.row, step.index] = value
        assert step.lengths is not None, "a view comes with a state, and a state has lengths"
        return InOrder(lengths=step.lengths, span=step.span)
