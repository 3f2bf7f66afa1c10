"""The k largest scores of a row as kernels of a GPU, found digit by digit: scores are counted by the first eight bits
of what orders them, then those alike by the next eight. Nothing is sorted, and nobody waits for the host.

Source: Alabi et al. 2012, "Fast k-selection algorithms for graphics processing units", section 4.2 (radix select).
Legend: B rows, V vocabulary.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from llm_build import launches_early

WIDE = 2048
"""How many scores a program looks at."""
DIGITS, VALUES = tl.constexpr(4), tl.constexpr(256)


# Triton reads annotations as part of the program, and knows its own alone
@triton.jit
def _keys(score):  # type: ignore[no-untyped-def]
    """Whole numbers in the order of scores, of which -0 and 0 are one."""
    bits = (score + 0.0).to(tl.int32, bitcast=True)
    return (bits ^ ((bits >> 31) | -2147483648)).to(tl.uint32, bitcast=True)


@triton.jit  # type: ignore[untyped-decorator]
def _digits(counts, k, known: tl.constexpr):  # type: ignore[no-untyped-def]
    """The first `known` digits of the k-th largest key, from the counts of one row."""
    found, left = tl.zeros((), tl.uint32), k
    value = tl.arange(0, VALUES)
    for digit in tl.static_range(known):
        count = tl.load(counts + digit * VALUES + value)
        below = tl.cumsum(count, 0)
        above = tl.sum(count, 0) - below  # how many have a larger digit
        here = tl.sum(tl.where(above >= left, 1, 0), 0)
        left -= tl.sum(tl.where(value == here, above, 0), 0)
        found = found * VALUES + here.to(tl.uint32)
    return found


@triton.jit  # type: ignore[untyped-decorator]
def _count(scores, counts, k, vocab, digit: tl.constexpr, wide: tl.constexpr, early: tl.constexpr):  # type: ignore[no-untyped-def]
    """scores [B, V], counts [B, DIGITS, VALUES]: adds how many of those that begin as the k-th largest have each value
    of the next digit."""
    if early:
        gdc_wait()
        gdc_launch_dependents()
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    token = part * wide + tl.arange(0, wide)
    key = _keys(tl.load(scores + row * vocab + token, mask=token < vocab, other=0))
    counts += row * DIGITS * VALUES
    alike = token < vocab
    if digit > 0:
        alike = alike & (key >> (32 - 8 * digit) == _digits(counts, k, digit))
    value = (key >> (24 - 8 * digit)) & (VALUES - 1)
    # who is not alike is counted apart
    count = tl.histogram(tl.where(alike, value, VALUES).to(tl.int32), 2 * VALUES)
    at = tl.arange(0, 2 * VALUES)
    tl.atomic_add(counts + digit * VALUES + at, count, mask=(at < VALUES) & (count > 0), sem="relaxed")


@triton.jit  # type: ignore[untyped-decorator]
def _kept(scores, counts, kept, k, vocab, wide: tl.constexpr, early: tl.constexpr):  # type: ignore[no-untyped-def]
    """scores [B, V] → kept [B, V], -inf below the k-th largest."""
    if early:
        gdc_wait()
        gdc_launch_dependents()
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    token = part * wide + tl.arange(0, wide)
    score = tl.load(scores + row * vocab + token, mask=token < vocab, other=0)
    least = _digits(counts + row * DIGITS * VALUES, k, DIGITS)
    tl.store(kept + row * vocab + token, tl.where(_keys(score) >= least, score, float("-inf")), mask=token < vocab)


def top(scores: Tensor, k: int) -> Tensor:
    """scores [B, V] float32, dense → [B, V]: -inf where a score is below the k-th largest of its row, 1 ≤ k ≤ V."""
    rows, vocab = scores.shape
    counts = torch.zeros(rows, DIGITS.value, VALUES.value, dtype=torch.int32, device=scores.device)
    kept = torch.empty_like(scores)
    early = launches_early(scores.device)
    options = {"num_warps": 8, **({"launch_pdl": True} if early else {})}
    programs = (rows, triton.cdiv(vocab, WIDE))
    for digit in range(DIGITS.value):
        _count[programs](scores, counts, k, vocab, digit, WIDE, early, **options)
    _kept[programs](scores, counts, kept, k, vocab, WIDE, early, **options)
    return kept


top_operator = torch.library.custom_op("llm_build::top", top, mutates_args=())


@top_operator.register_fake
def _(scores: Tensor, _k: int) -> Tensor:
    return torch.empty_like(scores)
