"""A pass of the search for a nucleus as two kernels of a GPU. Legend: B rows, V vocabulary, D digits."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

WIDE = 4096
"""How many tokens a program looks at."""


# Triton reads annotations as part of the program, and knows its own alone
@triton.jit  # type: ignore[untyped-decorator]
def _digits(ranks, apart, row, token, vocab, shift, digits: tl.constexpr):  # type: ignore[no-untyped-def]
    rank = tl.load(ranks + row * apart + token, mask=token < vocab, other=0)
    return ((rank >> shift) & (digits - 1)).to(tl.int32)


@triton.jit(do_not_specialize=["shift"])  # type: ignore[untyped-decorator]
def _add_up(chances, ranks, sums, apart, vocab, shift, digits: tl.constexpr, wide: tl.constexpr):  # type: ignore[no-untyped-def]
    """chances [B, V], ranks [B or 1, V] → onto sums [B, D]: whole numbers, so in any order."""
    row, token = tl.program_id(0).to(tl.int64), tl.program_id(1) * wide + tl.arange(0, wide)
    digit = _digits(ranks, apart, row, token, vocab, shift, digits)
    chance = tl.load(chances + row * vocab + token, mask=token < vocab, other=0)
    tl.atomic_add(sums + row * digits + digit, chance, mask=chance > 0)


@triton.jit(do_not_specialize=["shift"])  # type: ignore[untyped-decorator]
def _go_on(  # type: ignore[no-untyped-def]
    chances, left, ranks, sums, kept, after, apart, vocab, shift, digits: tl.constexpr, wide: tl.constexpr
):
    """→ kept [B, V] and after [B]: chances of the digit in which left [B] is crossed, and what is to be held in it."""
    row, token = tl.program_id(0).to(tl.int64), tl.program_id(1) * wide + tl.arange(0, wide)
    every = tl.arange(0, digits)
    each, wanted = tl.load(sums + row * digits + every), tl.load(left + row)
    crossed = tl.sum((tl.cumsum(each, 0) < wanted).to(tl.int32), 0)
    digit = _digits(ranks, apart, row, token, vocab, shift, digits)
    chance = tl.load(chances + row * vocab + token, mask=token < vocab, other=0)
    tl.store(kept + row * vocab + token, tl.where(digit == crossed, chance, 0), mask=token < vocab)
    if tl.program_id(1) == 0:
        tl.store(after + row, wanted - tl.sum(tl.where(every < crossed, each, 0), 0))


def narrowed(chances: Tensor, left: Tensor, ranks: Tensor, shift: int, digits: int) -> tuple[Tensor, Tensor]:
    """chances [B, V] and left [B, 1] int64, ranks [B, V] or [V] int32 or int64, all dense; see `_nucleus._narrowed`."""
    rows, vocab = chances.shape
    sums = torch.zeros(rows, digits, dtype=torch.int64, device=chances.device)
    kept, after = torch.empty_like(chances), torch.empty_like(left)
    grid, apart = (rows, triton.cdiv(vocab, WIDE)), vocab if ranks.dim() == 2 else 0
    _add_up[grid](chances, ranks, sums, apart, vocab, shift, digits, WIDE, num_warps=8)
    _go_on[grid](chances, left, ranks, sums, kept, after, apart, vocab, shift, digits, WIDE, num_warps=8)
    return kept, after


narrowed_operator = torch.library.custom_op("llm_build::narrowed", narrowed, mutates_args=())


@narrowed_operator.register_fake
def _(chances: Tensor, left: Tensor, _ranks: Tensor, _shift: int, _digits: int) -> tuple[Tensor, Tensor]:
    return torch.empty_like(chances), torch.empty_like(left)
