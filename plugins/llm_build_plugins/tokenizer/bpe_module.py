"""Byte-level BPE, through the tokenizers library. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from llm_build_plugins.tokenizer._shared import FileTokenizer

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.tokenizer.bpe_config import bpe


class BPE(FileTokenizer):
    """`decode(encode(text)) == text` for every text that is UTF-8."""

    _eos_names = ("[eos]",)
    _pad_names = ("[pad]",)

    def __init__(self, config: bpe, context: Context) -> None:
        self.config = config

    def fit(self, texts: Iterable[str]) -> None:
        """Learn the merges; does nothing once there is a vocabulary."""
        if self._inner is not None:
            return
        trainer = trainers.BpeTrainer(
            vocab_size=self.config.vocab,
            special_tokens=list(self.config.special),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        inner = _untrained(self.config.prefix_space)
        inner.train_from_iterator(texts, trainer)
        self._take(inner)


def _untrained(prefix_space: bool) -> Tokenizer:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    if prefix_space:
        # ByteLevel's own prefix space is added only where the text has none, and then cannot be told apart
        inner.normalizer = normalizers.Prepend(" ")
        inner.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    return inner
