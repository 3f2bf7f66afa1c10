"""From a generator's pieces to whole texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llm_build.interfaces import Generator, Tokenizer


def complete(
    generator: Generator,
    model: Any,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    max_new: int | None = None,
    seed: int = 0,
) -> list[str]:
    """Each prompt with what the model writes after it."""
    texts = list(prompts)
    for piece in generator.generate(model, tokenizer, prompts, max_new=max_new, seed=seed):
        texts[piece.row] += piece.text
    return texts
