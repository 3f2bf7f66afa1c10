"""Chance as one kernel of a GPU: torch's own operations read and write every number fifteen times.

Legend: B rows, V vocabulary.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

WIDE = 1024
"""How many tokens a program draws for."""


# Triton reads annotations as part of the program, and knows its own alone
@triton.jit
def _mixed(key):  # type: ignore[no-untyped-def]
    key = key + 0x9E3779B97F4A7C15
    key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9
    key = (key ^ (key >> 27)) * 0x94D049BB133111EB
    return key ^ (key >> 31)


@triton.jit  # type: ignore[untyped-decorator]
def _kernel(seeds, drawn, tokens, y, vocab, wide: tl.constexpr):  # type: ignore[no-untyped-def]
    """seeds and drawn [B], tokens [V] → y [B, V]: `wide` of a row. The numbers are those of `_noise.waits`."""
    row = tl.program_id(0)
    place = tl.program_id(1) * wide + tl.arange(0, wide)
    token = tl.load(tokens + place, mask=place < vocab, other=0).to(tl.uint64, bitcast=True)
    seed = tl.load(seeds + row).to(tl.uint64, bitcast=True)
    count = tl.load(drawn + row).to(tl.uint64, bitcast=True)
    key = _mixed(_mixed(_mixed(seed) + count) + token)
    # 63 bits, as a signed number: a GPU rounds those to the nearest float32
    bits = (key & 0x7FFFFFFFFFFFFFFF).to(tl.int64, bitcast=True)
    uniform = bits.to(tl.float32) * 1.0842021724855044e-19
    left = 1.0 - uniform
    # log(1 - u) without what 1 - u rounds away (Goldberg 1991, theorem 4)
    wait = tl.where(left == 1.0, uniform, -tl.log(left) * uniform / (1.0 - left))
    tl.store(y + row.to(tl.int64) * vocab + place, wait, mask=place < vocab)


@torch.library.custom_op("llm_build::waits", mutates_args=())
def waits(seeds: Tensor, drawn: Tensor, tokens: Tensor) -> Tensor:
    """seeds and drawn [B], tokens [V] int64, all dense → Exponential(1) numbers [B, V] in float32."""
    vocab = len(tokens)
    y = torch.empty(len(seeds), vocab, dtype=torch.float32, device=seeds.device)
    _kernel[(len(seeds), triton.cdiv(vocab, WIDE))](seeds, drawn, tokens, y, vocab, WIDE)
    return y


@waits.register_fake
def _(seeds: Tensor, _drawn: Tensor, tokens: Tensor) -> Tensor:
    return seeds.new_empty(len(seeds), len(tokens), dtype=torch.float32)
