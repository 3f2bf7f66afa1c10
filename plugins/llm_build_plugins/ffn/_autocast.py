"""Whether autocast acts on a kind of device."""

from __future__ import annotations

import torch


def autocasts(device: str) -> bool:
    """True inside of `torch.autocast(device)`."""
    return _has_autocast(device) and torch.is_autocast_enabled(device)


# torch 2.11 cannot trace the question
@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _has_autocast(device: str) -> bool:
    return torch.amp.is_autocast_available(device)
