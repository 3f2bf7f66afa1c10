"""Softmax attention: multi-head, multi-query and grouped-query are one module.

Legend: B rows, T positions, D model dim, H query heads, K key/value heads, E head dim.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from llm_build import Field
from llm_build_plugins.attention.cross_module import CrossAttention

if TYPE_CHECKING:
    from llm_build import Context, Step
    from llm_build_plugins.attention.gqa_config import gqa
    from llm_build_plugins.attention.mha_config import mha
    from llm_build_plugins.attention.mqa_config import mqa

    Heads = gqa | mha | mqa


def attention(config: Heads, context: Context) -> nn.Module:
    """The module of a softmax attention: over its own sequence, or over the memory that is there."""
    return GroupedQueryAttention(config, context) if context.memory is None else CrossAttention(config, context)


class GroupedQueryAttention(nn.Module):
    """x [B, T, D] → [B, T, D]: out(softmax(scale · q · kᵀ) · v). Keeps keys and values [K, E] a token.

    The three projections are one matrix [(H + 2K) · E, D]: queries, then keys, then values, head by head.
    """

    def __init__(self, config: Heads, context: Context) -> None:
        super().__init__()
        dim, head_dim = context.need("dim"), config.head_dim
        self.head_dim = head_dim
        self.heads, self.kv_heads = config.heads, config.kv_heads
        self.qkv = nn.Linear(dim, (config.heads + 2 * config.kv_heads) * head_dim, bias=config.bias)
        self.out = nn.Linear(config.heads * head_dim, dim, bias=config.bias)
        self.out.writes_residual = True  # type: ignore[assignment]
        self.q_norm = config.part("qk_norm", context)
        self.k_norm = config.part("qk_norm", context)
        self.position = config.part("position", context)
        self.mask = config.part("mask", context)
        self.sinks = nn.Parameter(torch.zeros(config.heads)) if config.sinks else None
        self.scale = config.scale * getattr(self.position, "score_factor", 1.0)
        self.softcap, self.dropout = config.softcap, config.dropout
        kept = Field((config.kv_heads, head_dim), reach=self.mask.window if self.mask.causal else None)
        self.state_spec = {"k": kept, "v": kept}

    def initialise(self, draw: Callable[[Tensor], None]) -> None:
        if self.sinks is not None:
            draw(self.sinks)

    def forward(self, x: Tensor, step: Step) -> Tensor:
        heads, kv_heads = self.heads, self.kv_heads
        qk, v = self.qkv(x).unflatten(-1, (-1, self.head_dim)).split((heads + kv_heads, kv_heads), dim=-2)
        if self.q_norm is not None:
            q, k = qk.split((heads, kv_heads), dim=-2)
            qk = torch.cat((self.q_norm(q), self.k_norm(k)), dim=-2)
        if self.position is not None:
            qk = self.position.rotate(qk, step.positions)  # together: the angles are the same
        q, k = qk.split((heads, kv_heads), dim=-2)
        mixed = step.attend(  # [B, T, H, E]
            q,
            k,
            v,
            causal=self.mask.causal,
            window=self.mask.window,
            mask=self.mask.allowed,
            scale=self.scale,
            softcap=self.softcap,
            sinks=self.sinks,
            dropout=self.dropout if self.training else 0.0,
        )
        y: Tensor = self.out(mixed.flatten(2))
        return y
