"""Prefill and a decode step by the model's contract, without a generator. Legend: B rows, T tokens, V vocabulary."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from llm_build.bench.shapes import Shape, tokens_of
from llm_build.interfaces import Cache, reads_source
from llm_build.run import Compute
from llm_build.step import make_state


class Passes:
    """A state of a shape, with random tokens for it. Call `prefill`, then `decode` as often as there are new tokens.

    A model that reads a source encodes it in its prefill, and takes the first token of the text.
    """

    def __init__(self, model: Any, shape: Shape, compute: Compute, cache: Cache | str = "dense") -> None:
        self._model, self._rows = model, shape.batch
        self._source = reads_source(model)
        steps = 1 if self._source else shape.prompt
        memory = shape.prompt if self._source else 0
        self.state = make_state(model, shape.batch, tokens_of(model, shape), steps, memory=memory, cache=cache)
        self._tokens = _random((shape.batch, shape.prompt), model.vocab, compute)
        self._full = torch.full((shape.batch,), shape.prompt, device=compute.device)
        self._one = torch.ones_like(self._full)

    @torch.no_grad()
    def prefill(self) -> Tensor:
        """The logits [B, V] after the prompts. Rows that hold something must be reset before."""
        if not self._source:
            return self._step(self._tokens, self._full)
        memory = self._model.encode(self._tokens, self._full)
        return self._step(self._tokens[:, -1:], self._one, memory=memory, memory_count=self._full)

    @torch.no_grad()
    def decode(self) -> Tensor:
        """The logits [B, V] after one token more."""
        return self._step(self._tokens[:, :1], self._one)

    def reset(self) -> None:
        self.state.reset(range(self._rows))

    def _step(self, tokens: Tensor, count: Tensor, **reading: Tensor) -> Tensor:
        self.state.reserve(tokens.shape[1])
        hidden, _ = self._model.hidden(tokens, self.state, count=count, **reading)
        logits: Tensor = self._model.head(hidden[:, -1])
        return logits


def _random(shape: tuple[int, int], vocab: int, compute: Compute) -> Tensor:
    return torch.randint(vocab, shape, generator=torch.Generator().manual_seed(compute.seed)).to(compute.device)
