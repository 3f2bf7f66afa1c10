"""What tokenizers share: everything but where the vocabulary comes from. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from llm_build import RunError


class FileTokenizer:
    """A tokenizer that can be written to a tokenizer.json and read back.

    Text is text: a special token's name in it is encoded letter by letter, so a document cannot end itself. Special
    tokens are left out when decoding.
    """

    _inner: Tokenizer | None = None
    _eos_names: Sequence[str] = ()
    _pad_names: Sequence[str] = ()

    @property
    def inner(self) -> Tokenizer:
        """The tokenizer itself. Raises `RunError` as long as there is none."""
        if self._inner is None:
            raise RunError("this tokenizer has no vocabulary yet: train it with `fit`, or `load` a tokenizer.json")
        return self._inner

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id."""
        return 1 + max(self.inner.get_vocab(with_added_tokens=True).values())

    @property
    def eos(self) -> int | None:
        """The token that ends a document."""
        return self._first(self._eos_names)

    @property
    def pad(self) -> int | None:
        """The token that fills a row; never trained on, never drawn."""
        return self._first(self._pad_names)

    def encode(self, text: str) -> list[int]:
        """Token ids, without any that the text does not hold."""
        ids: list[int] = self.inner.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The same for many texts, on all cores."""
        return [each.ids for each in self.inner.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text; bytes that are not UTF-8 become U+FFFD."""
        text: str = self.inner.decode(list(tokens), skip_special_tokens=True)
        return text

    def save(self, path: Path) -> None:
        """Write tokenizer.json."""
        self.inner.save(str(path))

    def load(self, path: Path) -> None:
        """Read tokenizer.json. Raises `RunError` where it is missing or is none."""
        if not path.is_file():
            raise RunError(f"a tokenizer file must exist; there is none at {path}")
        try:
            inner = Tokenizer.from_file(str(path))
        except Exception as fault:  # the library raises nothing narrower
            raise RunError(f"{path} is not a tokenizer.json that can be read: {fault}") from fault
        self._take(inner)

    def _take(self, inner: Tokenizer) -> None:
        inner.encode_special_tokens = True
        inner.no_padding()
        inner.no_truncation()
        self._inner = inner

    def _first(self, names: Sequence[str]) -> int | None:
        found = (self.inner.token_to_id(name) for name in names)
        return next((each for each in found if each is not None), None)
