"""One text that is to be written, and what has come of it so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import attrs

from llm_build import GenerationError, Piece
from llm_build_plugins.generate._stream import TextStream

if TYPE_CHECKING:
    from llm_build.interfaces import Tokenizer

Parts = tuple[int, str, int | None, str | None]
"""A `Piece` that nobody has taken yet: plain values, which Python's garbage collector need not look after."""


def piece(parts: Parts) -> Piece:
    row, text, token, finish = parts
    return Piece(row=row, text=text, token=token, finish=finish)


def refuse_length(max_new: int | None) -> None:
    """Raises `GenerationError` for fewer tokens than none."""
    if max_new is not None and max_new < 0:
        raise GenerationError(f"max_new must be at least 0, the tokens that may follow; {max_new} arrived")


@attrs.define(kw_only=True, eq=False)
class Request:
    """What to continue, or to begin behind a source with, and by how much.

    tokens   of the prompt; the first `fed` of them went through the model
    source   what a model with an encoder reads, else empty
    most     how many tokens may come; `launched` of them are drawn or being drawn, `taken` of them have come
    pieces   what nobody has taken yet; requests may put them into one queue
    done     whether the last piece is among those that came, or nobody waits for it any more
    row      where it is written; None before and after
    turn     how many had come to a row before it
    """

    number: int
    tokens: Sequence[int]
    source: Sequence[int]
    most: int
    seed: int
    fed: int = 0
    launched: int = 0
    taken: int = 0
    pieces: deque[Parts]
    done: bool = False
    row: int | None = None
    turn: int = 0
    _text: TextStream

    @classmethod
    def of(
        cls,
        tokenizer: Tokenizer,
        number: int,
        tokens: Sequence[int],
        source: Sequence[int],
        most: int,
        seed: int,
        pieces: deque[Parts] | None = None,
    ) -> Self:
        """A request of which nothing is done yet; one for no token at all is done at once."""
        text, queue = TextStream(tokenizer, tokens), deque[Parts]() if pieces is None else pieces
        made = cls(number=number, tokens=tokens, source=source, most=most, seed=seed, text=text, pieces=queue)
        if most == 0:
            made.finish("length")
        return made

    @property
    def waits(self) -> bool:
        """Whether some of its prompt is still to be read."""
        return self.fed < len(self.tokens)

    @property
    def writes(self) -> bool:
        """Whether its prompt was read and a step may be taken for it."""
        return not self.waits and self.launched < self.most

    @property
    def longest(self) -> int:
        """The most tokens that its row ever holds: the last that is drawn is not fed."""
        return len(self.tokens) + self.most - 1

    @property
    def left(self) -> int:
        """How much the next call may read for it: of its prompt, or of its source as that begins."""
        return max(len(self.tokens) - self.fed, 0 if self.fed else len(self.source))

    def take(self, token: int, eos: int | None) -> None:
        """A token that was drawn for it."""
        if token == eos:
            self.finish("eos", token)
            return
        self.pieces.append((self.number, self._text.add(token), token, None))
        self.taken += 1
        if self.taken == self.most:
            self.finish("length")

    def finish(self, why: str, token: int | None = None) -> None:
        """The last piece, with whatever text was waiting."""
        self.done = True
        self.pieces.append((self.number, self._text.end(), token, why))
