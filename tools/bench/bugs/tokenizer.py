"""Bugs of tokenizers."""

from __future__ import annotations

from bugs.bug import Bug

SHARED = "plugins/llm_build_plugins/tokenizer/_shared.py"
BPE = "plugins/llm_build_plugins/tokenizer/bpe_module.py"
WORDPIECE = "plugins/llm_build_plugins/tokenizer/wordpiece_module.py"
BUGS = [
    Bug(
        name="a batch is padded",
        component="tokenizer:bpe",
        file=SHARED,
        old="inner.no_padding()",
        new="inner.enable_padding()",
    ),
    Bug(
        name="one token fewer than there are",
        component="tokenizer:bpe",
        file=SHARED,
        old="return 1 + max(",
        new="return max(",
    ),
    Bug(
        name="special tokens are found in text",
        component="tokenizer:pretrained",
        file=SHARED,
        old="inner.encode_special_tokens = True",
        new="pass",
    ),
    Bug(
        name="special tokens are found in text",
        component="tokenizer:wordpiece",
        file=SHARED,
        old="inner.encode_special_tokens = True",
        new="pass",
    ),
    Bug(
        name="text is cut at 512 tokens",
        component="tokenizer:wordpiece",
        file=SHARED,
        old="inner.no_truncation()",
        new="inner.enable_truncation(512)",
    ),
    Bug(
        name="spaces are lost",
        component="tokenizer:wordpiece",
        file=WORDPIECE,
        old="decoders.WordPiece(prefix=INSIDE, cleanup=False)",
        new='decoders.Sequence([decoders.WordPiece(prefix=INSIDE, cleanup=False), decoders.Replace(" ", "")])',
    ),
    Bug(
        name="text is cleaned up",
        component="tokenizer:pretrained",
        file=SHARED,
        old="return text",
        new='return text.replace(" ,", ",").replace(" .", ".")',
    ),
    Bug(
        name="spaces are lost",
        component="tokenizer:bpe",
        file=BPE,
        old='normalizers.Prepend(" ")',
        new='normalizers.Sequence([normalizers.Strip(), normalizers.Prepend(" ")])',
    ),
    Bug(
        name="text is normalised",
        component="tokenizer:bpe",
        file=BPE,
        old="inner.decoder = decoders.ByteLevel()",
        new="inner.decoder = decoders.ByteLevel()\n    inner.normalizer = normalizers.NFKC()",
    ),
    Bug(
        name="what is loaded is not taken",
        component="tokenizer:bpe",
        file=SHARED,
        old="self._take(inner)",
        new="self._inner = inner",
    ),
    Bug(
        name="what is loaded learns again",
        component="tokenizer:bpe",
        file=BPE,
        old="if self._inner is not None:",
        new="if False:",
    ),
    Bug(
        name="numbers depend on the order of a set",
        component="tokenizer:wordpiece",
        file=WORDPIECE,
        old="special_tokens=[*special, *inside]",
        new="special_tokens=special",
    ),
    Bug(
        name="the texts are gone through twice",
        component="tokenizer:wordpiece",
        file=WORDPIECE,
        old="texts, special = list(texts), list(self.config.special)",
        new="special = list(self.config.special)",
    ),
]
