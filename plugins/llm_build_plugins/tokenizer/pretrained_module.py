"""A tokenizer from a file, through the tokenizers library. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from llm_build_plugins.tokenizer._shared import FileTokenizer

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.tokenizer.pretrained_config import pretrained

EOS = ("[eos]", "<eos>", "</s>", "<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "[SEP]")
PAD = ("[pad]", "<pad>", "[PAD]", "<|padding|>", "<｜▁pad▁｜>")


class Pretrained(FileTokenizer):
    """The tokenizer of `file`. It is read when it is first needed: a run that has its own copy never looks."""

    def __init__(self, config: pretrained, context: Context) -> None:
        self.config = config
        self._eos_names = (config.eos,) if config.eos else EOS
        self._pad_names = (config.pad,) if config.pad else PAD

    def fit(self, texts: Iterable[str]) -> None:
        """Read the file, unless a vocabulary is there already. Learns nothing. Raises `RunError` as `load` does."""
        if self._inner is None:
            self.load(Path(self.config.file))
