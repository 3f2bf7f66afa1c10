"""The nucleus of a distribution, found without sorting it. Legend: B rows, V vocabulary."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from llm_build import HAS_TRITON, is_traced

ONE = 2**60
"""A chance of 1. Sums of whole numbers are the same in any order: in a row alone, among others, and every time."""
FINE, COARSE = 11, 4
"""Bits of a rank that one pass tells apart: about as many digits as there are tokens, between these."""


def nucleus(scores: Tensor, p: float) -> Tensor:
    """scores [B, V] of a float32 or float64 → bool [B, V]: the fewest tokens of highest softmax(scores) that hold p.

    Of equal ones those that come first are taken. A radix selection (Knuth 1998, section 5.2.5, read from the highest
    digit on; Alabi et al. 2012, "Fast k-Selection Algorithms for Graphics Processing Units", section 3): each pass adds
    up the chances of every digit, goes on in the one in which p is crossed, and leaves out the others.
    """
    places = torch.arange(scores.shape[-1], dtype=torch.int32, device=scores.device)
    chances = (scores.softmax(-1) * ONE).long()
    left = chances.sum(-1, keepdim=True).clamp(max=math.ceil(p * ONE))
    digit = min(FINE, max(COARSE, len(places).bit_length()))
    for rank, bits in ((_rank(scores), 8 * scores.itemsize), (places, (len(places) - 1).bit_length())):
        for shift in range((bits - 1) // digit * digit, -1, -digit):
            chances, left = _narrowed(chances, left, rank, shift, 2**digit)
    # the one that crosses p is all that is left
    last = chances.argmax(-1, keepdim=True)
    least = scores.gather(-1, last)
    return (scores > least) | ((scores == least) & (places <= last))


def _rank(scores: Tensor) -> Tensor:
    """Whole numbers of as many bits which, read without a sign, grow as scores fall: the order of IEEE 754, mended."""
    whole = torch.int32 if scores.dtype == torch.float32 else torch.int64
    bits = (scores + 0.0).view(whole)  # -0.0 is 0.0
    return torch.where(bits < 0, bits, bits ^ torch.iinfo(whole).max)


def _narrowed(chances: Tensor, left: Tensor, rank: Tensor, shift: int, digits: int) -> tuple[Tensor, Tensor]:
    """chances [B, V] of which the first by `rank` [B, V] or [V] that hold `left` [B, 1] are sought → both, of the digit
    at `shift` in which that is crossed, of so many digits."""
    if chances.is_cuda and HAS_TRITON:
        from llm_build_plugins.generate._nucleus_kernel import narrowed, narrowed_operator

        operation = narrowed_operator if is_traced(chances) else narrowed
        found: tuple[Tensor, Tensor] = operation(chances.contiguous(), left, rank.contiguous(), shift, digits)
        return found
    digit = (rank >> shift).long() & (digits - 1)
    held = chances.new_zeros(len(chances), digits + 1)
    held[:, 1:].scatter_add_(-1, digit.expand_as(chances), chances)
    held = held.cumsum(-1)
    # what is not a number has no order, and must not lead astray
    crossed = (torch.searchsorted(held, left) - 1).clamp(0, digits - 1)
    return chances.masked_fill(digit != crossed, 0), left - held.gather(-1, crossed)
