"""Next-token cross-entropy. Legend: B rows, T tokens, D model dim, V vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from llm_build import IGNORED

if TYPE_CHECKING:
    from llm_build import Batch, Context
    from llm_build_plugins.train.next_token_config import next_token

LOGITS_AT_ONCE = 2**26
"""A float32 table of this many logits takes 256 MiB; a larger one is never made."""


class NextToken:
    """The mean over all targets that count, plus what the layers add (a router's balance)."""

    def __init__(self, config: next_token, context: Context) -> None:
        self.logits_at_once = LOGITS_AT_ONCE

    def loss(self, model: Any, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss to minimise, and its parts: "nll" and what the layers added."""
        hidden, added = batch.hidden(model)
        targets = batch.targets.flatten()
        nll = self._nats(model, hidden.flatten(0, 1), targets) / (targets != IGNORED).sum().clamp(min=1)
        total = nll
        for each in added.values():
            total = total + each
        return total, {"nll": nll, **added}

    def _nats(self, model: Any, hidden: Tensor, targets: Tensor) -> Tensor:
        """hidden [B·T, D], targets [B·T] → the sum. Too many logits are made by parts, and again on the way back."""
        rows = max(1, self.logits_at_once // model.vocab)
        if len(hidden) <= rows:
            return _summed(model.head, hidden, targets)
        parts = zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True)
        sums = [checkpoint(_summed, model.head, part, wanted, use_reentrant=False) for part, wanted in parts]
        return torch.stack(sums).sum()


def _summed(head: Any, hidden: Tensor, targets: Tensor) -> Tensor:
    logits = head(hidden)
    if logits.dtype != torch.float64:
        logits = logits.float()
    return torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
