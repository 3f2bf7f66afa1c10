"""Decoding token by token."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from llm_build import GenerationError, Piece, Sizes, reads_source, source_tokens
from llm_build_plugins.generate._engine import Engine
from llm_build_plugins.generate._every import of_every
from llm_build_plugins.generate._fitting import fitting
from llm_build_plugins.generate._kept import Kept
from llm_build_plugins.generate._quantised import Quantised
from llm_build_plugins.generate._request import Parts, Request, piece, refuse_length
from llm_build_plugins.generate._session import Session, together

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build.interfaces import Tokenizer
    from llm_build_plugins.generate.decode_config import decode

SEEDS = 2**63
"""How many seeds there are."""


class Decode:
    """Reads the prompts, then writes one token a row and step, as many texts at once as there are `rows`.

    A model that reads a source is given the prompt as that: it is encoded once, and its row begins with [eos].
    """

    def __init__(self, config: decode, context: Context) -> None:
        self.sampler = config.part("sampler", context)
        self.cache = config.part("cache", context)
        self.quantised = Quantised(config.part("quantizer", context))
        self.kept = Kept()
        self.capture, self.compile = config.capture, config.compile
        self.rows, self.chunk = config.rows, config.chunk
        self.max_new = config.max_new
        self.prompt = config.prompt or ""

    def generate(
        self, model: Any, tokenizer: Tokenizer, prompts: Sequence[str], *, max_new: int | None = None, seed: int = 0
    ) -> Iterator[Piece]:
        """Continue every prompt; see `Generator`. Raises `GenerationError` before anything is computed."""
        refuse_length(max_new)
        model, pieces = self.quantised.of(model), deque[Parts]()

        def request(number: int, prompt: str) -> Request:
            return self._request(model, tokenizer, pieces, number, prompt, max_new, seed + number)

        requests = of_every(request, prompts)
        return self._pieces(model, tokenizer, requests, pieces)

    def open(
        self, model: Any, tokenizer: Tokenizer, *, rows: int | None = None, capacity: int | None = None
    ) -> Session:
        """Make room for requests; see `ServingGenerator`."""
        for name, given in (("rows", rows), ("capacity", capacity)):
            if given is not None and given < 1:
                raise GenerationError(f"a session needs {name} of at least 1; {given} arrived")
        source, model = model, self.quantised.of(model)
        longest = model.context if capacity is None else min(capacity, model.context)
        memory = longest if reads_source(model) else 0
        step = min(self.chunk, longest)
        sizes = Sizes(rows=rows or self.rows, capacity=longest, max_step=step, memory=memory)
        request = partial(self._request, model, tokenizer, None)
        return Session(source, model, self._engine(model, tokenizer, sizes, fewer=rows is None), request, sizes)

    def close(self) -> None:
        """Let go of the room that is kept for the next call."""
        self.kept.close()

    def _request(
        self,
        model: Any,
        tokenizer: Tokenizer,
        pieces: deque[Parts] | None,
        number: int,
        prompt: str,
        max_new: int | None,
        seed: int,
    ) -> Request:
        source: Sequence[int] = ()
        if reads_source(model):
            source = _source(tokenizer, prompt, model.context)
            tokens = source[-1:]
        else:
            tokens = _encoded(tokenizer, prompt, model.context)
        _refuse_unknown(max(*source, *tokens, 0), model.vocab)
        most = min(self.max_new if max_new is None else max_new, model.context - len(tokens))
        return Request.of(tokenizer, number, tokens, source, most, seed % SEEDS, pieces)

    def _pieces(
        self, model: Any, tokenizer: Tokenizer, requests: Sequence[Request], pieces: deque[Parts]
    ) -> Iterator[Piece]:
        working = [each for each in requests if not each.done]
        if working:
            sizes = Sizes(
                rows=min(self.rows, len(working)),
                capacity=max(len(each.tokens) + each.most for each in working),
                max_step=self.chunk,
                memory=max(len(each.source) for each in working),
            )
            yield from together(model, self._engine(model, tokenizer, sizes), requests, pieces)
        else:
            yield from map(piece, pieces)

    def _engine(self, model: Any, tokenizer: Tokenizer, sizes: Sizes, fewer: bool = False) -> Engine:
        """What writes: that of the last call where it does; with `fewer` rows where it may and memory is short."""

        def make() -> Engine:
            made = fitting(model, sizes, self.cache) if fewer else sizes
            return Engine(
                model,
                tokenizer,
                self.sampler,
                self.cache,
                rows=made.rows,
                capacity=made.capacity,
                chunk=made.max_step,
                memory=made.memory,
                capture=self.capture,
                compile=self.compile,
            )

        return self.kept.engine(model, tokenizer, sizes, make, fewer)


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


def _refuse_unknown(largest: int, vocab: int) -> None:
    """Amidst a step it would break off every other text, and on a GPU the process."""
    if largest >= vocab:
        raise GenerationError(
            f"the tokens of a prompt must be below the model's vocab of {vocab:_}; {largest:_} arrived: "
            "give the tokenizer that the model was trained with"
        )


def _tokens(tokenizer: Tokenizer, prompt: str) -> list[int]:
    if prompt.encode(errors="replace").decode() != prompt:
        raise GenerationError("a prompt must be text that UTF-8 can hold; a byte that is no UTF-8 arrived")
    return tokenizer.encode(prompt)
