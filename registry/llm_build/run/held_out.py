"""Held-out loss: nats a token and bits a byte. Legend: D model dim, V vocabulary."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs
import torch

from llm_build.corpus import IGNORED, Batch, HeldOutText
from llm_build.progress import Progress, Silence

if TYPE_CHECKING:
    from llm_build.run.compute import Compute

TOKENS_AT_ONCE = 4_096
LOGITS_AT_ONCE = 2**24


@attrs.frozen
class Measured:
    """The mean cost of held-out text: nats a token and bits a byte, over `tokens` of them; `whole`: over all there are.

    Bits a byte is all nats / all bytes / ln 2. Over a part it takes the bytes a token of the whole.
    """

    nats: float
    bits: float
    tokens: int
    whole: bool


def measure(
    model: Any,
    held_out: HeldOutText,
    compute: Compute,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Measured:
    """The model's loss on all held-out text, or on about `limit` tokens of it, spread evenly and always the same.

    The model is switched to evaluation and back. `progress` is told how many tokens of all are done.
    """
    watcher = progress or Silence()
    training = model.training
    model.eval()
    nats, tokens = 0.0, 0
    with torch.no_grad():
        for batch in held_out.batches(TOKENS_AT_ONCE, limit):
            with compute.autocast():
                nats += token_nats(model, batch.map(compute.move))
            tokens += batch.counted()
            watcher.count("tokens measured", tokens, held_out.targets)
    model.train(training)
    bits = nats / tokens * held_out.targets / held_out.size / math.log(2)
    return Measured(nats / tokens, bits, tokens, tokens == held_out.targets)


def token_nats(model: Any, batch: Batch) -> float:
    """The summed cross-entropy of a batch's targets in nats, from logits in float32 or wider, made by parts."""
    hidden, _ = batch.hidden(model)
    rows = max(1, LOGITS_AT_ONCE // model.vocab)
    total = 0.0
    for part, targets in zip(
        torch.split(hidden.flatten(0, 1), rows), torch.split(batch.targets.flatten(), rows), strict=True
    ):
        logits = model.head(part)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        total += float(torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum"))
    return total
