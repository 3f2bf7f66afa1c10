"""The config of byte-level BPE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from llm_build import Config, Context, Problem, component, flag, many, size, text
from llm_build_plugins.tokenizer._special import check_special

BYTES = 256


@component("tokenizer:bpe", module="llm_build_plugins.tokenizer.bpe_module:BPE", capabilities=["lossless"])
class bpe(Config):
    """Byte-level byte-pair encoding, trained on the training documents: any text can be written in it, and comes back.

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2.
    """

    vocab: int = size(
        high=2**31 - 1,
        example=2_048,
        doc="tokens in all: 256 bytes, the special tokens, and the merges that are learned",
    )
    special: tuple[str, ...] = many(
        text(), default=("[pad]", "[eos]"), doc="special tokens; [eos] ends a document, [pad] fills a row"
    )
    prefix_space: bool = flag(
        default=False, doc="put a space before the text, so that its first word is like any other"
    )

    @classmethod
    def specimens(cls, folder: Path) -> Sequence[Config]:
        """Without a merge, with some, with special tokens of several kinds."""
        names = ("[pad]", "[eos]", "<|user|>", "(_0_)")
        sizes = [cls(vocab=vocab, prefix_space=spaced) for vocab in (258, 320) for spaced in (False, True)]
        return [*sizes, cls(vocab=300, special=names), cls(vocab=300, special=("[eos]",))]

    def vocab_size(self) -> int:
        """The rows that the embedding needs; text that is too short to learn from may leave some unused."""
        return self.vocab

    def check(self, context: Context) -> Iterator[Problem]:
        least = BYTES + len(self.special)
        if self.vocab < least:
            yield Problem(
                field="vocab",
                message=f"vocab must hold {BYTES} bytes and {len(self.special)} special tokens; {self.vocab} arrived",
                help=f"write vocab = {least} or more",
            )
        yield from check_special(self.special)
