"""Decoding token by token. Legend: B rows, T positions of the longest prompt, M of the longest source, D model dim,
V vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from llm_build import GenerationError, Piece, make_state, reads_source, source_tokens
from llm_build_plugins.generate._capture import Replay
from llm_build_plugins.generate._draw import Draw
from llm_build_plugins.generate._quantised import Quantised
from llm_build_plugins.generate._stream import TextStream

if TYPE_CHECKING:
    from llm_build import Context, State
    from llm_build.interfaces import Tokenizer
    from llm_build_plugins.generate._capture import Forward
    from llm_build_plugins.generate.decode_config import decode

    Following = Callable[[Tensor, Sequence[int]], Tensor]

SEEDS = 2**63
"""How many seeds there are."""


class Decode:
    """Prefill, then one token a row and step. A row that is finished takes no part: its `count` is 0.

    A model that reads a source is given the prompt as that: it is encoded once, and its row begins with [eos].
    """

    def __init__(self, config: decode, context: Context) -> None:
        self.sampler = config.part("sampler", context)
        self.cache = config.part("cache", context)
        self.quantised = Quantised(config.part("quantizer", context))
        self.capture = config.capture
        self.max_new = config.max_new
        self.prompt = config.prompt or ""

    def generate(
        self, model: Any, tokenizer: Tokenizer, prompts: Sequence[str], *, max_new: int | None = None, seed: int = 0
    ) -> Iterator[Piece]:
        """Continue every prompt; see `Generator`. Raises `GenerationError` before anything is computed."""
        sources: list[list[int]] = []
        model = self.quantised.of(model)
        if reads_source(model):
            sources = [_source(tokenizer, each, model.context) for each in prompts]
            rows = [each[-1:] for each in sources]
        else:
            rows = [_encoded(tokenizer, each, model.context) for each in prompts]
        limit = self.max_new if max_new is None else max_new
        return self._pieces(model, tokenizer, rows, sources, limit, seed) if rows else iter(())

    def _pieces(
        self,
        model: Any,
        tokenizer: Tokenizer,
        prompts: list[list[int]],
        sources: list[list[int]],
        limit: int,
        seed: int,
    ) -> Iterator[Piece]:
        rows = [
            Row(tokenizer, index, each, min(limit, model.context - len(each))) for index, each in enumerate(prompts)
        ]
        yield from (row.finished("length") for row in rows if row.left == 0)
        if not any(row.left for row in rows):
            return
        counts = [len(each) for each in prompts]
        tokens = _padded(prompts, next(model.parameters()).device)
        draw = Draw(self.sampler, tokenizer, model.vocab, [(seed + row.index) % SEEDS for row in rows], tokens.device)
        capacity = max(count + row.left for count, row in zip(counts, rows, strict=True))
        longest = max((len(each) for each in sources), default=0)
        state = make_state(model, len(rows), capacity, tokens.shape[1], memory=longest, cache=self.cache)
        following = self._following(model, state, tokens.device)
        logits = _prefill(model, state, tokens, counts, sources)
        while True:
            draw.saw(tokens, counts)
            tokens = draw.next(logits)
            for row, token in zip(rows, tokens[:, 0].tolist(), strict=True):
                if row.left:
                    yield from row.take(token)
            counts = [int(row.left > 0) for row in rows]
            if not any(counts):
                return
            logits = following(tokens, counts)

    def _following(self, model: Any, state: State, device: torch.device) -> Following:
        """What takes the steps after the first."""
        step = partial(_last_logits, model, state)
        if self.capture and device.type == "cuda":
            return Replay(step, state, device)
        return partial(_eager, step, state, device)


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
    tokens = _tokens(tokenizer, prompt)
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


def _source(tokenizer: Tokenizer, prompt: str, context: int) -> list[int]:
    """The tokens of a prompt that is read as a source; [eos] is the last."""
    if not _tokens(tokenizer, prompt):
        raise GenerationError(
            "this model reads a source before it writes; an empty prompt arrived: give some text, such as --prompt TEXT"
        )
    tokens = source_tokens(prompt, tokenizer)
    if len(tokens) > context:
        raise GenerationError(
            f"a source must fit into the model's context of {context} tokens, [eos] included; {len(tokens)} arrived: "
            "shorten the prompt"
        )
    return tokens


def _tokens(tokenizer: Tokenizer, prompt: str) -> list[int]:
    if prompt.encode(errors="replace").decode() != prompt:
        raise GenerationError("a prompt must be text that UTF-8 can hold; a byte that is no UTF-8 arrived")
    return tokenizer.encode(prompt)


def _padded(prompts: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """tokens [B, T], real ones first in their row."""
    tokens = torch.zeros(len(prompts), max(len(each) for each in prompts), dtype=torch.int64)
    for row, each in enumerate(prompts):
        tokens[row, : len(each)] = torch.tensor(each)
    return tokens.to(device)


@torch.no_grad()
def _prefill(
    model: Any, state: State, tokens: Tensor, counts: Sequence[int], sources: Sequence[Sequence[int]]
) -> Tensor:
    """The first call on a state: tokens [B, T], and of the sources a memory [B, M, D] → logits [B, V]."""
    state.reserve(counts)
    count = torch.tensor(counts, device=tokens.device)
    if not sources:
        return _last_logits(model, state, tokens, count)
    read = torch.tensor([len(each) for each in sources], device=tokens.device)
    memory = model.encode(_padded(sources, tokens.device), read)
    return _last_logits(model, state, tokens, count, memory=memory, memory_count=read)


def _eager(step: Forward, state: State, device: torch.device, tokens: Tensor, counts: Sequence[int]) -> Tensor:
    state.reserve(counts)
    return step(tokens, torch.tensor(counts, device=device))


@torch.no_grad()
def _last_logits(model: Any, state: State, tokens: Tensor, count: Tensor, **reading: Tensor) -> Tensor:
    """[B, V] logits after the last real token of each row; those of a row without one mean nothing."""
    hidden, _ = model.hidden(tokens, state, count=count, **reading)
    rows = torch.arange(len(count), device=tokens.device)
    logits: Tensor = model.head(hidden[rows, (count - 1).clamp(min=0)])
    return logits
