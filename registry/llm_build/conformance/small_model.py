"""A model of the kit's own, as small as one can be, for what is proved around a model.

Legend: B rows, T tokens, M source tokens, D model dim, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from llm_build.conformance.trial import Trial

DIM = 5


class Logits(nn.Module):
    """x [..., D] → [..., V]."""

    def __init__(self, trial: Trial, vocab: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(trial.normal(vocab, DIM))
        self.bias = nn.Parameter(trial.normal(vocab))

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] → [..., V]."""
        return x @ self.weight.T + self.bias


class SmallModel(nn.Module):
    """Each position sees its own token and the mean of the real ones of its row; with `alone`, its own token only.

    So what stands where no token is matters to whoever does not say how many there are. Nothing is kept between calls.
    `added` is the loss of its layers, where it is set.
    """

    state_spec: tuple[Mapping[str, Any], ...] = ()
    context = 64

    def __init__(self, trial: Trial, vocab: int, *, alone: bool = False) -> None:
        super().__init__()
        self.vocab, self.alone = vocab, alone
        self.table = nn.Parameter(trial.normal(vocab, DIM))
        self.mix = nn.Parameter(trial.normal(DIM, DIM))
        self.head = Logits(trial, vocab)
        self.added: nn.Parameter | None = None

    def forward(self, tokens: Tensor, state: Any = None, **reading: Any) -> Tensor:
        """[B, T] → [B, T, V]."""
        logits: Tensor = self.head(self.hidden(tokens, state, **reading)[0])
        return logits

    def hidden(
        self,
        tokens: Tensor,
        state: Any = None,
        *,
        count: Tensor | None = None,
        positions: Tensor | None = None,
        documents: Tensor | None = None,
        memory: Tensor | None = None,
        memory_count: Tensor | None = None,
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """[B, T] → [B, T, D], and the loss of its layers, if any."""
        x = self.table[tokens]
        if not self.alone:
            x = x + _mean(x, count)
        if memory is not None:
            x = x + _mean(memory, memory_count)
        if state is not None:
            state.advance(tokens.shape[1] if count is None else count)
        return torch.tanh(x @ self.mix), {} if self.added is None else {"added": self.added}


class SmallSourceModel(SmallModel):
    """The same, with the mean of a source too."""

    def encode(self, tokens: Tensor, count: Tensor | None = None) -> Tensor:
        """source [B, M] → memory [B, M, D]."""
        return self.encoded(tokens, count)[0]

    def encoded(self, tokens: Tensor, count: Tensor | None = None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The same, and no loss."""
        return torch.sin(self.table[tokens]), {}


def _mean(x: Tensor, count: Tensor | None) -> Tensor:
    """x [B, T, D] → the mean of the first `count` of each row, [B, 1, D]."""
    if count is None:
        return x.mean(1, keepdim=True)
    real = torch.arange(x.shape[1], device=x.device) < count[:, None]
    return (x * real[..., None]).sum(1, keepdim=True) / count[:, None, None].clamp(min=1)
