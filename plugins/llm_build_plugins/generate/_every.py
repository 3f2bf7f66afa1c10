"""Something made of every prompt, or all that is wrong with them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from llm_build import GenerationError, PromptError

One = TypeVar("One")
Made = TypeVar("Made")


def of_every(make: Callable[[int, One], Made], items: Sequence[One]) -> list[Made]:
    """`make(place, item)` of all. Raises `PromptError` with the faults of those that it refuses."""
    made, faults = list[Made](), dict[int, str]()
    for place, item in enumerate(items):
        try:
            made.append(make(place, item))
        except GenerationError as fault:
            faults[place] = str(fault)
    if faults:
        raise PromptError(faults, len(items))
    return made
