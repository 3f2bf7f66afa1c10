"""Comparing tensors so that a difference is told in one line."""

from __future__ import annotations

import torch
from torch import Tensor

from llm_build.conformance.report import Violation

RTOL, ATOL = 1e-8, 1e-9


def same(found: Tensor, expected: Tensor, what: str, *, rtol: float = RTOL, atol: float = ATOL) -> None:
    """Raises `Violation` where two tensors differ by more than rounding; NaN equals NaN. `what` says which they are."""
    if found.shape != expected.shape:
        raise Violation(f"{what}: the shape is {list(found.shape)} where {list(expected.shape)} is right")
    if found.dtype != expected.dtype:
        raise Violation(f"{what}: the dtype is {found.dtype} where {expected.dtype} is right")
    close = torch.isclose(found, expected, rtol=rtol, atol=atol, equal_nan=True)
    if bool(close.all()):
        return
    place = tuple((~close).nonzero()[0].tolist())
    wrong, right = found[place].item(), expected[place].item()
    count = int((~close).sum())
    raise Violation(
        f"{what}: {wrong:.6g} where {right:.6g} is right, at {list(place)}; {count} of {close.numel()} differ"
    )


def finite(found: Tensor, what: str) -> None:
    """Raises `Violation` for a number that is none."""
    bad = ~torch.isfinite(found)
    if bool(bad.any()):
        place = tuple(bad.nonzero()[0].tolist())
        raise Violation(f"{what}: {found[place].item()} at {list(place)}")


def require(holds: bool, message: str) -> None:
    """Raises `Violation` with the message unless something holds."""
    if not holds:
        raise Violation(message)
