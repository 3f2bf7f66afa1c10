"""The config of WordPiece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from llm_build import Config, Context, Problem, component, flag, many, size, text
from llm_build_plugins.tokenizer._special import check_special

UNKNOWN = "[unk]"


@component("tokenizer:wordpiece", module="llm_build_plugins.tokenizer.wordpiece_module:WordPiece")
class wordpiece(Config):
    """Words cut into the longest pieces of a vocabulary, trained on the training documents; `##` marks what continues.

    Text is cut at spaces and around each punctuation mark, and how many spaces there were is forgotten: what comes back
    has one between its words and marks. A word with a character that the vocabulary lacks becomes [unk], and so does
    one of more than 100 characters.

    Source: Schuster and Nakajima 2012, "Japanese and Korean Voice Search", section 3; Wu et al. 2016, "Google's Neural
    Machine Translation System", section 4.1.
    """

    vocab: int = size(
        high=2**31 - 1,
        example=2_048,
        doc="tokens in all: the special tokens, the characters, and the pieces that are learned",
    )
    special: tuple[str, ...] = many(
        text(),
        default=("[pad]", "[eos]", UNKNOWN),
        doc="special tokens; [eos] ends a document, [pad] fills a row, [unk] is what the vocabulary lacks",
    )
    lowercase: bool = flag(default=False, doc="read every letter as a small one")

    @classmethod
    def specimens(cls, folder: Path) -> Sequence[Config]:
        """From a vocabulary without any word to one with many, and special tokens of several kinds."""
        names = ("[pad]", "[eos]", UNKNOWN, "<|user|>", "(_0_)")
        sizes = [cls(vocab=vocab, lowercase=lower) for vocab in (300, 90) for lower in (False, True)]
        return [*sizes, cls(vocab=8), cls(vocab=120, special=names)]

    def vocab_size(self) -> int:
        """The rows that the embedding needs; text that is too short to learn from may leave some unused."""
        return self.vocab

    def check(self, context: Context) -> Iterator[Problem]:
        least = len(self.special) + 2
        if self.vocab < least:
            yield Problem(
                field="vocab",
                message=f"vocab must hold {len(self.special)} special tokens and a letter, alone and inside a word; "
                f"{self.vocab} arrived",
                help=f"write vocab = {least} or more",
            )
        yield from check_special(self.special)

    def check_unknown(self, context: Context) -> Iterator[Problem]:
        if UNKNOWN not in self.special:
            listed = ", ".join(f'"{each}"' for each in (*self.special, UNKNOWN))
            yield Problem(
                field="special",
                message=f"wordpiece needs a token for what its vocabulary lacks; {UNKNOWN} is not among special",
                help=f"write special = [{listed}]",
            )
