"""Tokens on their way from the device to the host."""

from __future__ import annotations

import torch
from torch import Tensor


class Flight:
    """A copy of tokens [B, 1] as they are now; the host waits for it only when it looks."""

    def __init__(self, tokens: Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        if tokens.device.type == "cuda":
            self._there = torch.empty(tokens.shape, dtype=tokens.dtype, pin_memory=True)
            self._there.copy_(tokens, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()
        else:
            self._there = tokens.clone()

    def tokens(self) -> list[int]:
        """One a row."""
        if self._event is not None:
            self._event.synchronize()
        return self._there[:, 0].tolist()
