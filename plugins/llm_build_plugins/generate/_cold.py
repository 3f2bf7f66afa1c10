"""What the samplers with a filter say of temperature 0. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Problem

COLD = 1e-6
"""Below this a temperature counts as 0: only the likeliest token is left, and equals of it."""


def idle_filter(name: str, temperature: float) -> Iterator[Problem]:
    """A warning where the temperature leaves the filter `name` nothing to do."""
    if temperature < COLD:
        yield Problem(
            field="temperature",
            message=f"{name} chooses among tokens, and at temperature {temperature:g} only the likeliest is left",
            help="write sampler = greedy, or a temperature such as 0.8",
            severity="warning",
            code="W304",
            related=(name,),
        )
