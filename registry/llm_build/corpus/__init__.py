"""Text as tokens: documents are tokenised once, kept in a memory-mapped file, and read as windows."""

from llm_build.corpus.batch import IGNORED, Batch
from llm_build.corpus.order import order
from llm_build.corpus.prepare import Corpus, prepare
from llm_build.corpus.store import cache_folder, tokenised
from llm_build.corpus.windows import HeldOut, Windows

__all__ = ["IGNORED", "Batch", "Corpus", "HeldOut", "Windows", "cache_folder", "order", "prepare", "tokenised"]
