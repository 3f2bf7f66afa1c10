"""WordPiece, through the tokenizers library. Torch-free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from llm_build_plugins.tokenizer._shared import FileTokenizer
from llm_build_plugins.tokenizer.wordpiece_config import UNKNOWN

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.tokenizer.wordpiece_config import wordpiece

INSIDE = "##"
"""Stands before a piece that continues a word."""


class WordPiece(FileTokenizer):
    """Words of known characters come back as they were, with one space between them; see its config."""

    _eos_names = ("[eos]",)
    _pad_names = ("[pad]",)

    def __init__(self, config: wordpiece, context: Context) -> None:
        self.config = config

    def fit(self, texts: Iterable[str]) -> None:
        """Learn the pieces; does nothing once there is a vocabulary.

        The characters are chosen here, the most frequent first: the library would take more than fit into the
        vocabulary, and number them in another order each time.
        """
        if self._inner is not None:
            return
        texts, special = list(texts), list(self.config.special)
        inner = _empty(models.WordPiece(unk_token=UNKNOWN), self.config.lowercase)
        alone, inside = _characters(inner, texts, self.config.vocab - len(special))
        trainer = trainers.WordPieceTrainer(
            vocab_size=self.config.vocab,
            special_tokens=[*special, *inside],  # these are numbered in the order given
            initial_alphabet=alone,
            limit_alphabet=len(alone),
            show_progress=False,
        )
        inner.train_from_iterator(texts, trainer)
        trained = _empty(models.WordPiece(inner.get_vocab(), unk_token=UNKNOWN), self.config.lowercase)
        # [unk] stands for some text, so it is shown where that text is missing
        trained.add_special_tokens([each for each in special if each != UNKNOWN])
        self._take(trained)


def _empty(model: models.WordPiece, lowercase: bool) -> Tokenizer:
    inner = Tokenizer(model)
    inner.normalizer = normalizers.BertNormalizer(strip_accents=False, lowercase=lowercase)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # the library's cleanup is off: it would make "don't" of "do not"
    inner.decoder = decoders.WordPiece(prefix=INSIDE, cleanup=False)
    return inner


def _characters(inner: Tokenizer, texts: Sequence[str], room: int) -> tuple[list[str], list[str]]:
    """The most frequent characters for which there is room: as a word begins, and as it goes on where it can."""
    seen = Counter[str]()
    for text in texts:
        seen.update(inner.normalizer.normalize_str(text))
    del seen[" "]
    alone: list[str] = []
    inside: list[str] = []
    for each, _ in seen.most_common():
        # a mark or a Chinese character is a word by itself, wherever it stands
        words = inner.pre_tokenizer.pre_tokenize_str(inner.normalizer.normalize_str(f"a{each}"))
        forms = 2 if len(words) == 1 else 1
        if len(alone) + len(inside) + forms > room:
            break
        alone.append(each)
        inside += [f"{INSIDE}{each}"] * (forms - 1)
    return alone, inside
