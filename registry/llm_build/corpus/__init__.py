"""Text as tokens: documents are tokenised once, kept in a memory-mapped file, and read as windows or as pairs."""

from llm_build.corpus.batch import IGNORED, Batch
from llm_build.corpus.contents import Contents
from llm_build.corpus.examples import Example, Examples, HeldOutText
from llm_build.corpus.mixed import Mixed
from llm_build.corpus.order import order
from llm_build.corpus.pairs import HeldOutPairs, Pairs, TokenPairs, source_tokens
from llm_build.corpus.prepare import Corpus, prepare, to_measure
from llm_build.corpus.store import cache_folder, tokenised
from llm_build.corpus.windows import HeldOut, Windows

__all__ = [
    "IGNORED",
    "Batch",
    "Contents",
    "Corpus",
    "Example",
    "Examples",
    "HeldOut",
    "HeldOutPairs",
    "HeldOutText",
    "Mixed",
    "Pairs",
    "TokenPairs",
    "Windows",
    "cache_folder",
    "order",
    "prepare",
    "source_tokens",
    "to_measure",
    "tokenised",
]
