"""Text as tokens: documents are tokenised once, kept in a memory-mapped file, and read as windows."""

from llm_build.corpus.order import order
from llm_build.corpus.prepare import Corpus, prepare
from llm_build.corpus.store import cache_folder, tokenised
from llm_build.corpus.windows import IGNORED, HeldOut, Windows

__all__ = ["IGNORED", "Corpus", "HeldOut", "Windows", "cache_folder", "order", "prepare", "tokenised"]
