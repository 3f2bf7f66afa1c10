"""Next-token cross-entropy. Legend: B rows, T tokens, N targets, D model dim, V vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, nll_loss
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
        self.smoothing, self.z_loss = config.smoothing, config.z_loss

    def loss(self, model: Any, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss to minimise, and its parts: "nll", "z_loss" where it is on, and what the layers added."""
        hidden, added = batch.hidden(model)
        targets = batch.targets.flatten()
        counted = (targets != IGNORED).sum().clamp(min=1)
        sums = self._sums(model, hidden.flatten(0, 1), targets)
        nll = total = sums["nll"] / counted
        parts = {"nll": nll}
        if self.smoothing:
            total = (1 - self.smoothing) * nll + self.smoothing * sums["even"] / counted
        if self.z_loss:
            parts["z_loss"] = self.z_loss * sums["log_z_squared"] / counted
            total = total + parts["z_loss"]
        for each in added.values():
            total = total + each
        return total, {**parts, **added}

    def _sums(self, model: Any, hidden: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """hidden [N, D], targets [N] → the sums over all that count.

        Too many logits are made by parts, and again on the way back.
        """
        rows = max(1, self.logits_at_once // model.vocab)
        if len(hidden) <= rows:
            return self._summed(model.head, hidden, targets)
        parts = zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True)
        sums = [checkpoint(self._summed, model.head, part, wanted, use_reentrant=False) for part, wanted in parts]
        return {name: torch.stack([each[name] for each in sums]).sum() for name in sums[0]}

    def _summed(self, head: Any, hidden: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The sum of "nll" and, where wanted, of "even", the cross-entropy against all tokens alike, and log² Z."""
        logits = head(hidden)
        if logits.dtype != torch.float64:
            logits = logits.float()
        scores = log_softmax(logits, dim=-1)  # [N, V]
        sums = {"nll": nll_loss(scores, targets, ignore_index=IGNORED, reduction="sum")}
        if self.smoothing:
            sums["even"] = _where_counted(-scores.mean(-1), targets)
        if self.z_loss:
            sums["log_z_squared"] = _where_counted(logits.logsumexp(-1).square(), targets)
        return sums


def _where_counted(values: Tensor, targets: Tensor) -> Tensor:
    """values [N], targets [N] → the sum of the values whose target counts."""
    return torch.where(targets != IGNORED, values, 0).sum()
