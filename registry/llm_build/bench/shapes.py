"""What is measured: how long the prompts are, how much is written, how many texts at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import attrs

from llm_build.errors import GenerationError
from llm_build.interfaces import reads_source


@attrs.frozen(kw_only=True, order=True)
class Shape:
    """`batch` texts, each `new` tokens behind a prompt of `prompt`, which is the source of a model that reads one."""

    prompt: int
    new: int
    batch: int


def shapes(prompts: Sequence[int], new: Sequence[int], batches: Sequence[int]) -> list[Shape]:
    """Every combination, the shortest prompt and the smallest batch first."""
    return [Shape(prompt=p, new=n, batch=b) for p, n, b in product(*(sorted(set(e)) for e in (prompts, new, batches)))]


def largest(of: Sequence[Shape]) -> Shape:
    """One that takes as much memory as any of these."""
    return Shape(**{name: max(getattr(each, name) for each in of) for name in ("prompt", "new", "batch")})


def tokens_of(model: Any, shape: Shape) -> int:
    """The longest text that is written: with its prompt, or behind the [eos] that it begins with after a source."""
    return shape.new + (1 if reads_source(model) else shape.prompt)


def refuse_length(model: Any, shape: Shape) -> None:
    """Raises `GenerationError` where prompt and text do not fit into the context."""
    longest = max(tokens_of(model, shape), shape.prompt)
    if longest > model.context:
        raise GenerationError(
            f"a prompt of {shape.prompt:_} tokens and {shape.new:_} new ones must fit into the model's context of "
            f"{model.context:_}; they are {longest:_}: give less with --prompt and --new, or --set model.context"
        )
