"""What models and placements share."""

from __future__ import annotations

from torch import nn


def dropout(rate: float) -> nn.Module:
    """Dropout that acts while training; at rate 0 it is not there, since torch's would still copy."""
    return nn.Dropout(rate) if rate else nn.Identity()
