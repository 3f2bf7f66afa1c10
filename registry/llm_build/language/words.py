"""The words of the language that mean something of their own, and so can name nothing else."""

from __future__ import annotations

KEYWORDS = frozenset(
    {"llm", "extends", "let", "param", "require", "true", "false", "none", "default", "or", "and", "not"}
)
FUNCTIONS = frozenset({"cycle", "count", "sqrt", "params", "flops", "memory", "min", "max"})
ROOTS = ("tokenizer", "model", "data", "train", "generate")
