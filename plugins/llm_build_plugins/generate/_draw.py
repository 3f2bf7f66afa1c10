"""Drawing the next tokens. Legend: B rows, T positions, V vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from llm_build.interfaces import Tokenizer


class Draw:
    """A sampler with a source of chance for each row, so that a row's tokens do not depend on its neighbours."""

    def __init__(
        self, sampler: Any, tokenizer: Tokenizer, vocab: int, seeds: Sequence[int], device: torch.device
    ) -> None:
        self._sampler = sampler
        self._sources = [torch.Generator(device).manual_seed(each) for each in seeds]
        self._eos = tokenizer.eos
        self._seen = torch.zeros(len(seeds), vocab, dtype=torch.bool, device=device)
        # rows of the embedding that no token has, and padding, are never text
        self._never = torch.arange(vocab, device=device) >= tokenizer.vocab_size
        if tokenizer.pad is not None and tokenizer.pad != tokenizer.eos:
            self._never[tokenizer.pad] = True

    def saw(self, tokens: Tensor, counts: Sequence[int]) -> None:
        """Note the first counts[b] tokens of each row b of [B, T] as seen, for the repetition penalty.

        [eos] is never one of them: where a text begins with it, nothing is repeated where it ends.
        """
        for row, count in enumerate(counts):
            self._seen[row, tokens[row, :count]] = True
        if self._eos is not None:
            self._seen[:, self._eos] = False

    def next(self, logits: Tensor) -> Tensor:
        """logits [B, V] → tokens [B, 1], each drawn with its row's own chance: argmax(p / Exponential(1))."""
        scores = self._sampler.scores(logits.masked_fill(self._never, float("-inf")), self._seen)
        waits = torch.empty_like(scores)
        for row, source in zip(waits, self._sources, strict=True):
            row.exponential_(generator=source)
        chances: Tensor = scores.softmax(-1) / waits.clamp_min(torch.finfo(waits.dtype).tiny)
        return chances.argmax(-1, keepdim=True)
