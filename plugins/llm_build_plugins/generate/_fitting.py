"""How many texts at a time there is memory for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm_build import Sizes, state_memory

if TYPE_CHECKING:
    from llm_build import StateMemory
    from llm_build.interfaces import Cache


def memory_for(model: Any, sizes: Sizes, cache: Cache) -> StateMemory:
    """What rows of such sizes take: their state, and a flag for each row and token that says which were seen."""
    return state_memory(model, sizes, cache, beside=sizes.rows * model.vocab)


def fitting(model: Any, sizes: Sizes, cache: Cache) -> Sizes:
    """As many rows, halved until what they take is free; one row is not halved, fit or not."""
    while sizes.rows > 1:
        taken = memory_for(model, sizes, cache)
        if taken.state <= taken.free:
            break
        sizes = replace(sizes, rows=sizes.rows // 2)
    return sizes
