"""Decoding token by token. Legend: B rows, T positions of the longest prompt, D model dim, V vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from llm_build import GenerationError, Piece, make_state
from llm_build_plugins.generate._draw import Draw
from llm_build_plugins.generate._stream import TextStream

if TYPE_CHECKING:
    from llm_build import Context, State
    from llm_build.interfaces import Tokenizer
    from llm_build_plugins.generate.decode_config import decode


SEEDS = 2**63
"""How many seeds there are."""


class Decode:
    """Prefill, then one token a row and step. A row that is finished takes no part: its `count` is 0."""

    def __init__(self, config: decode, context: Context) -> None:
        self.sampler = config.part("sampler", context)
        self.cache = config.part("cache", context)
        self.max_new = config.max_new
        self.prompt = config.prompt or ""

    def generate(
        self, model: Any, tokenizer: Tokenizer, prompts: Sequence[str], *, max_new: int | None = None, seed: int = 0
    ) -> Iterator[Piece]:
        """Continue every prompt; see `Generator`. Raises `GenerationError` before anything is computed."""
        rows = [_encoded(tokenizer, each, model.context) for each in prompts]
        limit = self.max_new if max_new is None else max_new
        return self._pieces(model, tokenizer, rows, limit, seed) if rows else iter(())

    def _pieces(
        self, model: Any, tokenizer: Tokenizer, prompts: list[list[int]], limit: int, seed: int
    ) -> Iterator[Piece]:
        rows = [
            Row(tokenizer, index, each, min(limit, model.context - len(each))) for index, each in enumerate(prompts)
        ]
        yield from (row.finished("length") for row in rows if row.left == 0)
        counts = [len(each) for each in prompts]
        tokens = _padded(prompts, next(model.parameters()).device)
        draw = Draw(self.sampler, tokenizer, model.vocab, [(seed + row.index) % SEEDS for row in rows], tokens.device)
        capacity = max(count + row.left for count, row in zip(counts, rows, strict=True))
        state = make_state(model, len(rows), capacity, tokens.shape[1], cache=self.cache)
        while any(row.left for row in rows):
            draw.saw(tokens, counts)
            tokens = draw.next(_last_logits(model, state, tokens, counts))
            for row, token in zip(rows, tokens[:, 0].tolist(), strict=True):
                if row.left:
                    yield from row.take(token)
            counts = [int(row.left > 0) for row in rows]


class Row:
    """One text that is being written: `left` tokens may still come."""

    def __init__(self, tokenizer: Tokenizer, index: int, prompt: Sequence[int], left: int) -> None:
        self.index, self.left = index, left
        self._eos = tokenizer.eos
        self._stream = TextStream(tokenizer, prompt)

    def take(self, token: int) -> Iterator[Piece]:
        """The piece that a token makes, and the last one where it ends the text."""
        if token == self._eos:
            self.left = 0
            yield self.finished("eos", token)
            return
        self.left -= 1
        yield Piece(row=self.index, text=self._stream.add(token), token=token)
        if self.left == 0:
            yield self.finished("length")

    def finished(self, why: str, token: int | None = None) -> Piece:
        """The last piece, with whatever text was waiting."""
        return Piece(row=self.index, text=self._stream.end(), token=token, finish=why)


def _encoded(tokenizer: Tokenizer, prompt: str, context: int) -> list[int]:
    """The tokens of a prompt; an empty one begins as a document does, after [eos]."""
    if prompt.encode(errors="replace").decode() != prompt:
        raise GenerationError("a prompt must be text that UTF-8 can hold; a byte that is no UTF-8 arrived")
    tokens = tokenizer.encode(prompt)
    if not tokens:
        if tokenizer.eos is None:
            raise GenerationError(
                "a prompt must hold a token where the tokenizer has no [eos] to begin with; give some text"
            )
        tokens = [tokenizer.eos]
    if len(tokens) > context:
        raise GenerationError(
            f"a prompt must fit into the model's context of {context} tokens; {len(tokens)} arrived: shorten it"
        )
    return tokens


def _padded(prompts: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """tokens [B, T], real ones first in their row."""
    tokens = torch.zeros(len(prompts), max(len(each) for each in prompts), dtype=torch.int64)
    for row, each in enumerate(prompts):
        tokens[row, : len(each)] = torch.tensor(each)
    return tokens.to(device)


@torch.no_grad()
def _last_logits(model: Any, state: State, tokens: Tensor, counts: Sequence[int]) -> Tensor:
    """[B, V] logits after the last real token of each row; those of a row without one mean nothing."""
    state.reserve(counts)
    count = torch.tensor(counts, device=tokens.device)
    hidden, _ = model.hidden(tokens, state, count=count)
    rows = torch.arange(len(counts), device=tokens.device)
    logits: Tensor = model.head(hidden[rows, (count - 1).clamp(min=0)])
    return logits
