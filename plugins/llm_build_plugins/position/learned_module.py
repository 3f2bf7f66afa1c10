"""Learned positions. Legend: B rows, T positions, N positions of the table, D model dim."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from llm_build import TABLE, GenerationError

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.position.learned_config import learned


MEND = "shorten the sequence, or train a model with a longer context"


class Learned(nn.Module):
    """Adds row p of weight [N, D] at position p, where N is the model's context."""

    def __init__(self, config: learned, context: Context) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(context.need("context"), context.need("dim")))
        self.parameter_groups = {"weight": TABLE}
        nn.init.normal_(self.weight)

    def initialise(self, draw: Callable[[Tensor], None]) -> None:
        draw(self.weight)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """x [B, T, D], positions [B, T] → [B, T, D].

        Raises `GenerationError` for more than N positions a row, and on a CPU for one that is not from 0 to N - 1.
        """
        self._refuse_beyond(positions)
        return x + nn.functional.embedding(positions, self.weight)

    def _refuse_beyond(self, positions: Tensor) -> None:
        there, new = len(self.weight), positions.shape[1]
        if new > there:
            raise GenerationError(f"a sequence has at most {there} learned positions; {new} tokens arrived: {MEND}")
        # on a GPU looking would wait for the device; there torch's own assertion fails
        if positions.device.type != "cpu" or torch.compiler.is_compiling():
            return
        beyond = (positions < 0) | (positions >= there)
        if beyond.any():
            first = int(positions[beyond][0])
            raise GenerationError(f"learned positions go from 0 to {there - 1}; {first} arrived: {MEND}")
