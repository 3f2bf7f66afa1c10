"""Whole numbers from the host to the device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def sent(values: Any, device: torch.device) -> Tensor:
    """An int64 tensor of `values`; a GPU takes it when its turn comes, and the host does not wait."""
    made = values if isinstance(values, Tensor) else torch.tensor(values, dtype=torch.int64)
    return made.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else made.to(device)
