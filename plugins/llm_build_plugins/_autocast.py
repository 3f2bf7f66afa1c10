"""Whether autocast acts on a kind of device, and arithmetic that it leaves alone."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def autocasts(device: str) -> bool:
    """True inside of `torch.autocast(device)`."""
    return _has_autocast(device) and torch.is_autocast_enabled(device)


def without_autocast(device: str) -> AbstractContextManager[object]:
    """What is computed inside keeps the dtype that it has."""
    return torch.autocast(device, enabled=False) if autocasts(device) else nullcontext()


def _has_autocast(device: str) -> bool:
    return torch.amp.is_autocast_available(device)


# torch 2.11 cannot trace the question. This is what torch.compiler.assume_constant_result does, which takes seconds to
# import.
_has_autocast._dynamo_marked_constant = True  # type: ignore[attr-defined]
