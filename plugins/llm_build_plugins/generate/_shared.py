"""What samplers share. Legend: B rows, V vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor

from llm_build_plugins.generate._cold import COLD

NEVER = float("-inf")


def sharpened(logits: Tensor, seen: Tensor, repetition: float, temperature: float) -> Tensor:
    """logits [B, V] after the repetition penalty and then the temperature, in float32 or wider.

    At temperature 0, which is the limit, the largest are left at 0 and the others at -inf. The penalty makes tokens in
    seen [B, V] less likely: positive logits are divided by it, negative ones multiplied.
    Source: Keskar et al. 2019, "CTRL", section 4.1, with the sign mended as in later work.
    """
    scores = logits if logits.dtype == torch.float64 else logits.float()
    if repetition != 1:
        penalised = torch.where(scores > 0, scores / repetition, scores * repetition)
        scores = torch.where(seen, penalised, scores)
    if temperature < COLD:
        return torch.zeros_like(scores).masked_fill(scores < scores.amax(-1, keepdim=True), NEVER)
    return scores / temperature
