"""Text from tokens as they come, right for characters that several tokens share. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_build.interfaces import Tokenizer

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
LONG = 4
"""So many tokens that were given out are decoded with the next one, no more."""


class TextStream:
    """What is given out adds up to `decode(all tokens)` without the part that the prompt makes.

    Text that ends in U+FFFD waits for the bytes that may complete its last character. At least the tokens of the piece
    before are decoded again with the new ones: they tell a tokenizer whether a space is a first one. Their text is
    known as long as they stay, so that most tokens take a single call of the tokenizer.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int]) -> None:
        self._decode = tokenizer.decode
        self._tokens = list(prompt)
        self._shown, self._given = self._decode(self._tokens), len(self._tokens)

    def add(self, token: int) -> str:
        """The text that is certain now; empty while a character is incomplete."""
        self._tokens.append(token)
        text = self._decode(self._tokens)
        return "" if text.endswith(UNFINISHED) else self._give(text)

    def end(self) -> str:
        """The rest, with U+FFFD for a character that was never completed."""
        return self._give(self._decode(self._tokens)) if self._given < len(self._tokens) else ""

    def _give(self, text: str) -> str:
        new = text[len(self._shown) :]
        if new:
            if len(self._tokens) > LONG:
                self._tokens = self._tokens[self._given :]
                text = self._decode(self._tokens)
            self._shown, self._given = text, len(self._tokens)
        return new
