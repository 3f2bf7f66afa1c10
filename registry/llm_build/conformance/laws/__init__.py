"""The laws behind the checks, by what they look at. Importing this registers them all, in the order they run in."""

from llm_build.conformance.laws import modules

__all__ = ["modules"]
