"""Tree and registry → checked configs, with every fault at once."""

from llm_build.resolve.configs import problems, resolve
from llm_build.resolve.reading import Reading, load, read, source_of

__all__ = ["Reading", "load", "problems", "read", "resolve", "source_of"]
