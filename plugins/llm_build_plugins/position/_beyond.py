"""What scaled positions advise against: a context that is longer than they were scaled for. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Context, Problem


def beyond(factor: float, original: int, context: Context) -> Iterator[Problem]:
    """A warning where the model's context is longer than factor · original tokens."""
    # a factor such as 1.1 is no binary fraction
    length, reach = context.context, int(round(factor * original, 6))
    if length is None or length <= reach:
        return
    yield Problem(
        field="factor",
        message=f"these positions are scaled for factor · original = {reach:_} tokens; the context is {length:_}",
        help=f"write factor = {-(-length // original)}, or a context of {reach:_} at most",
        severity="warning",
        code="W307",
        related=("original", "context"),
    )
