"""Tokenizers: byte-level BPE and WordPiece, trained on the data, and one that comes in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build_plugins._lazy import plugin

if TYPE_CHECKING:
    from llm_build_plugins.tokenizer.bpe_config import bpe as bpe
    from llm_build_plugins.tokenizer.pretrained_config import pretrained as pretrained
    from llm_build_plugins.tokenizer.wordpiece_config import wordpiece as wordpiece

llm_components, __getattr__ = plugin(
    {
        "tokenizer:bpe": "llm_build_plugins.tokenizer.bpe_config:bpe",
        "tokenizer:pretrained": "llm_build_plugins.tokenizer.pretrained_config:pretrained",
        "tokenizer:wordpiece": "llm_build_plugins.tokenizer.wordpiece_config:wordpiece",
    }
)
