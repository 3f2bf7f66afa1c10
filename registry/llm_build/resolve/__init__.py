"""Tree and registry → checked configs, with every fault at once."""

from llm_build.resolve.reading import Reading, load, problems, read, resolve, source_of, write
from llm_build.resolve.requires import Measure, walk

__all__ = ["Measure", "Reading", "load", "problems", "read", "resolve", "source_of", "walk", "write"]
