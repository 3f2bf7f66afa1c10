"""Drawing the next tokens. Legend: B rows, T positions, V vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from llm_build_plugins.generate._noise import drawn_of
from llm_build_plugins.generate._sent import sent

if TYPE_CHECKING:
    from llm_build.interfaces import Tokenizer


class Draw:
    """A sampler, and what it needs to know of each row: which tokens it has seen, its seed, and how often it drew.

    All of that is on the device and changed in place, so that a step that draws can be launched as a graph.
    """

    def __init__(self, sampler: Any, tokenizer: Tokenizer, vocab: int, rows: int, device: torch.device) -> None:
        self._sampler = sampler
        self._eos = tokenizer.eos
        self._seeds = torch.zeros(rows, dtype=torch.int64, device=device)
        self._drawn = torch.zeros_like(self._seeds)
        self._seen = torch.zeros(rows, vocab, dtype=torch.bool, device=device)
        # rows of the embedding that no token has, and padding, are never text
        self._never = torch.arange(vocab, device=device) >= tokenizer.vocab_size
        if tokenizer.pad is not None and tokenizer.pad != tokenizer.eos:
            self._never[tokenizer.pad] = True

    def range(self, start: int, stop: int) -> Draw:
        """The rows from `start` to `stop` - 1, on the same storage."""
        made = copy(self)
        made._seeds, made._drawn, made._seen = (each[start:stop] for each in self.rows())
        return made

    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """All that is known of each row [B, …]."""
        return self._seeds, self._drawn, self._seen

    def begin(self, rows: Sequence[int], seeds: Sequence[int], prompts: Sequence[Sequence[int]]) -> None:
        """Other texts begin in rows: what each draws depends on its seed alone, and its prompt has been seen."""
        index = self._sent(rows)
        self._seeds[index] = self._sent([_signed(each) for each in seeds])
        # a number of the host put into places of a GPU would wait for the device
        self._drawn.index_fill_(0, index, 0)
        self._seen.index_fill_(0, index, False)
        places = [row for row, prompt in zip(rows, prompts, strict=True) for _ in prompt]
        tokens = self._sent([token for prompt in prompts for token in prompt])
        self._seen[self._sent(places), tokens] = torch.ones_like(tokens, dtype=torch.bool)
        if self._eos is not None:
            # where a text begins with [eos], nothing is repeated where it ends
            self._seen[:, self._eos].index_fill_(0, index, False)

    def _sent(self, values: Sequence[int]) -> Tensor:
        return sent(values, self._seen.device)

    def tensors(self) -> list[Tensor]:
        """What a draw changes."""
        return [self._drawn, self._seen]

    def next(self, logits: Tensor, count: Tensor) -> Tensor:
        """logits [B, V], count [B] → tokens [B, 1], each drawn with its row's own chance.

        Of a row whose count is 0 the token means nothing, and nothing is noted of it.
        """
        scores = self._sampler.scores(logits.masked_fill(self._never, float("-inf")), self._seen)
        tokens = drawn_of(scores, self._seeds, self._drawn)
        self._drawn.add_(count.clamp(max=1))
        self._note(tokens, count)
        return tokens

    def _note(self, tokens: Tensor, count: Tensor) -> None:
        """The tokens [B, 1] of rows that drew are seen from now on, but for [eos]."""
        new = (count > 0)[:, None]
        if self._eos is not None:
            new = new & (tokens != self._eos)
        self._seen.scatter_(1, tokens, self._seen.gather(1, tokens) | new)


def _signed(seed: int) -> int:
    """A seed as the 64 bits of a signed number."""
    return (seed + 2**63) % 2**64 - 2**63
