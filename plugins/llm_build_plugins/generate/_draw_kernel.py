"""Drawing as kernels of a GPU: every score is read once, and its chance is computed where it is needed.

Torch's own operations read and write each number some twenty times, and take a whole row in one program.
Legend: B rows, V vocabulary, N parts of a row.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from llm_build import launches_early

WIDE = 1024
"""How many tokens a program looks at."""


# Triton reads annotations as part of the program, and knows its own alone
@triton.jit
def _mixed(key):  # type: ignore[no-untyped-def]
    key = key + 0x9E3779B97F4A7C15
    key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9
    key = (key ^ (key >> 27)) * 0x94D049BB133111EB
    return key ^ (key >> 31)


@triton.jit  # type: ignore[untyped-decorator]
def _parts(  # type: ignore[no-untyped-def]
    scores, seeds, drawn, best, at, vocab, parts, wide: tl.constexpr, early: tl.constexpr
):
    """scores [B, V] float32, seeds and drawn [B] → the best of each part of a row and where it stands [B, N]."""
    if early:
        gdc_wait()
        gdc_launch_dependents()
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    token = part * wide + tl.arange(0, wide)
    seed = tl.load(seeds + row).to(tl.uint64, bitcast=True)
    count = tl.load(drawn + row).to(tl.uint64, bitcast=True)
    key = _mixed(_mixed(_mixed(seed) + count) + token.to(tl.uint64))
    # 63 bits, as a signed number: a GPU rounds those to the nearest float32
    bits = (key & 0x7FFFFFFFFFFFFFFF).to(tl.int64, bitcast=True)
    uniform = bits.to(tl.float32) * 1.0842021724855044e-19
    left = 1.0 - uniform
    # log(1 - u) without what 1 - u rounds away (Goldberg 1991, theorem 4)
    wait = tl.where(left == 1.0, uniform, -tl.log(left) * uniform / (1.0 - left))
    score = tl.load(scores + row * vocab + token, mask=token < vocab, other=float("-inf"))
    value = score - tl.log(tl.maximum(wait, 1.1754943508222875e-38))
    here = tl.argmax(value, 0)
    tl.store(best + row * parts + part, tl.max(value, 0))
    tl.store(at + row * parts + part, part * wide + here)


@triton.jit  # type: ignore[untyped-decorator]
def _whole(best, at, tokens, parts, wide: tl.constexpr, early: tl.constexpr):  # type: ignore[no-untyped-def]
    """best and at [B, N] → tokens [B]."""
    if early:
        gdc_wait()
        gdc_launch_dependents()
    row = tl.program_id(0).to(tl.int64)
    part = tl.arange(0, wide)
    value = tl.load(best + row * parts + part, mask=part < parts, other=float("-inf"))
    tl.store(tokens + row, tl.load(at + row * parts + tl.argmax(value, 0)).to(tl.int64))


def draw(scores: Tensor, seeds: Tensor, drawn: Tensor) -> Tensor:
    """scores [B, V] float32, seeds and drawn [B] int64, all dense → tokens [B, 1]; see `_noise.drawn_of`."""
    rows, vocab = scores.shape
    parts = triton.cdiv(vocab, WIDE)
    best = torch.empty(rows, parts, dtype=torch.float32, device=scores.device)
    at = torch.empty(rows, parts, dtype=torch.int32, device=scores.device)
    tokens = torch.empty(rows, 1, dtype=torch.int64, device=scores.device)
    early = launches_early(scores.device)
    options = {"num_warps": 4, **({"launch_pdl": True} if early else {})}
    _parts[rows, parts](scores, seeds, drawn, best, at, vocab, parts, WIDE, early, **options)
    _whole[rows,](best, at, tokens, parts, triton.next_power_of_2(parts), early, **options)
    return tokens


draw_operator = torch.library.custom_op("llm_build::draw", draw, mutates_args=())


@draw_operator.register_fake
def _(scores: Tensor, _seeds: Tensor, _drawn: Tensor) -> Tensor:
    return scores.new_empty(len(scores), 1, dtype=torch.int64)
