"""Top-k sampling. Legend: B rows, V vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_build import HAS_TRITON, is_traced
from llm_build_plugins.generate._shared import NEVER, sharpened

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.generate.top_k_config import top_k


class TopK:
    """Leaves the k likeliest tokens."""

    def __init__(self, config: top_k, context: Context) -> None:
        self.k = config.k
        self.temperature, self.repetition = config.temperature, config.repetition

    def scores(self, logits: Tensor, seen: Tensor) -> Tensor:
        """logits and seen [B, V] → [B, V], -inf below the k-th largest."""
        scores = sharpened(logits, seen, self.repetition, self.temperature)
        if scores.is_cuda and scores.dtype == torch.float32 and HAS_TRITON:
            from llm_build_plugins.generate._top_kernel import top, top_operator

            operation = top_operator if is_traced(scores) else top
            kept: Tensor = operation(scores.contiguous(), min(self.k, scores.shape[-1]))
            return kept
        # the smallest of them in no order: a GPU takes as long to sort them as to find them
        kth = scores.topk(min(self.k, scores.shape[-1]), sorted=False).values.amin(-1, keepdim=True)
        return scores.masked_fill(scores < kth, NEVER)
