"""Chance that is computed, not kept: what a row draws depends on its seed, on how many tokens it drew before, and on
nothing else. No state on the host, so that a whole step can be launched at once. Legend: B rows, V vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor

from llm_build import HAS_TRITON, is_traced

_ADD = 0x9E3779B97F4A7C15 - 2**64
_FIRST = 0xBF58476D1CE4E5B9 - 2**64
_SECOND = 0x94D049BB133111EB - 2**64
_POSITIVE = 2**63 - 1


def drawn_of(scores: Tensor, seeds: Tensor, drawn: Tensor) -> Tensor:
    """scores [B, V], seeds and drawn [B] int64 → tokens [B, 1], of which a row's has the chance softmax(scores).

    It is argmax(p / Exponential(1)), by logarithms. Source: Maddison, Tarlow and Minka 2014, "A* sampling", section 2.
    """
    if scores.is_cuda and scores.dtype == torch.float32 and HAS_TRITON:
        from llm_build_plugins.generate._draw_kernel import draw, draw_operator

        operation = draw_operator if is_traced(scores) else draw
        tokens: Tensor = operation(scores.contiguous(), seeds, drawn)
        return tokens
    wait = waits(seeds, drawn, torch.arange(scores.shape[-1], device=scores.device))
    return (scores - wait.clamp_min(torch.finfo(wait.dtype).tiny).log()).argmax(-1, keepdim=True)


def waits(seeds: Tensor, drawn: Tensor, tokens: Tensor) -> Tensor:
    """seeds and drawn [B] int64, tokens [V] or [B, V] int64 → Exponential(1) numbers [B, V] in float32.

    The number of a token is that of its row's seed and count alone, whichever others are asked for.
    """
    row = _mixed(_mixed(seeds) + drawn)[:, None]
    uniform = (_mixed(row + tokens) & _POSITIVE).to(torch.float32) * 2.0**-63
    wait: Tensor = -(-uniform).log1p()
    return wait


def _mixed(key: Tensor) -> Tensor:
    """A step of SplitMix64, which wraps in 64 bits (Steele, Lea and Flood 2014, figure 17)."""
    key = key + _ADD
    key = (key ^ _shifted(key, 30)) * _FIRST
    key = (key ^ _shifted(key, 27)) * _SECOND
    mixed: Tensor = key ^ _shifted(key, 31)
    return mixed


def _shifted(key: Tensor, bits: int) -> Tensor:
    """`key` as an unsigned number, shifted right."""
    moved: Tensor = (key >> bits) & (2 ** (64 - bits) - 1)
    return moved
