"""From a generator's pieces to whole texts, and what they begin with where nobody says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llm_build.interfaces import Generator, Tokenizer, reads_source


def complete(
    generator: Generator,
    model: Any,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    max_new: int | None = None,
    seed: int = 0,
) -> list[str]:
    """Each prompt with what the model writes after it; of a model that reads a source, what it writes alone."""
    texts = [""] * len(prompts) if reads_source(model) else list(prompts)
    for piece in generator.generate(model, tokenizer, prompts, max_new=max_new, seed=seed):
        texts[piece.row] += piece.text
    return texts


def usual_prompts(generator: Generator, model: Any, sources: Sequence[str], count: int) -> list[str]:
    """What `count` samples begin with where nobody says: the prompt of the spec.

    Without one, a model that reads a source is given some of `sources`, spread evenly and always the same.
    """
    if generator.prompt or not sources or not reads_source(model):
        return [generator.prompt] * count
    return [sources[index * len(sources) // count] for index in range(count)]


def shown(model: Any, prompts: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Texts for a person to read: what was made of a source stands behind it."""
    if not reads_source(model):
        return list(texts)
    return [f"{prompt} → {text}" for prompt, text in zip(prompts, texts, strict=True)]
