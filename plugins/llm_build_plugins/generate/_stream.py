"""Text from tokens as they come, right for characters that several tokens share. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_build.interfaces import Tokenizer

UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class TextStream:
    """What is given out adds up to `decode(all tokens)` without the part that the prompt makes.

    Text that ends in U+FFFD waits for the bytes that may complete its last character. The tokens of the piece before
    are decoded again with the new ones: they tell a tokenizer whether a space is a first one.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int]) -> None:
        self._decode = tokenizer.decode
        self._tokens = list(prompt)
        self._shown = self._decode(self._tokens)
        self._waiting: list[int] = []

    def add(self, token: int) -> str:
        """The text that is certain now; empty while a character is incomplete."""
        self._waiting.append(token)
        text = self._decode(self._tokens + self._waiting)
        if text.endswith(UNFINISHED):
            return ""
        return self._give(text)

    def end(self) -> str:
        """The rest, with U+FFFD for a character that was never completed."""
        return self._give(self._decode(self._tokens + self._waiting)) if self._waiting else ""

    def _give(self, text: str) -> str:
        new = text[len(self._shown) :]
        if new:
            self._tokens, self._waiting = self._waiting, []
            self._shown = self._decode(self._tokens)
        return new
