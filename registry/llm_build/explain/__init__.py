"""What `explain` says: the values of a resolved spec, and where each of them comes from. Torch-free."""

from llm_build.explain.explanation import explain
from llm_build.explain.plain import as_json
from llm_build.explain.text import as_text

__all__ = ["as_json", "as_text", "explain"]
