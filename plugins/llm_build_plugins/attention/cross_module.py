"""Softmax attention over a memory.

Legend: B rows, T positions, M places of the memory, D model dim, C width of the memory, H query heads, K key/value
heads, E head dim.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from llm_build import Field

if TYPE_CHECKING:
    from llm_build import Context, Step
    from llm_build_plugins.attention.gqa_module import Heads


class CrossAttention(nn.Module):
    """x [B, T, D], memory [B, M, C] → [B, T, D]: out(softmax(scale · q(x) · k(memory)ᵀ) · v(memory)).

    Keeps keys and values [K, E] a place of the memory. They are one matrix [2K · E, C]: keys, then values.
    """

    def __init__(self, config: Heads, context: Context) -> None:
        super().__init__()
        dim, head_dim = context.need("dim"), config.head_dim
        self.head_dim, self.kv_heads = head_dim, config.kv_heads
        self.q = nn.Linear(dim, config.heads * head_dim, bias=config.bias)
        self.kv = nn.Linear(context.need("memory"), 2 * config.kv_heads * head_dim, bias=config.bias)
        self.out = nn.Linear(config.heads * head_dim, dim, bias=config.bias)
        self.out.writes_residual = True  # type: ignore[assignment]
        self.q_norm = config.part("qk_norm", context)
        self.k_norm = config.part("qk_norm", context)
        self.sinks = nn.Parameter(torch.zeros(config.heads)) if config.sinks else None
        self.scale, self.softcap, self.dropout = config.scale, config.softcap, config.dropout
        kept = Field((config.kv_heads, head_dim), per="memory")
        self.state_spec = {"k": kept, "v": kept}

    def initialise(self, draw: Callable[[Tensor], None]) -> None:
        if self.sinks is not None:
            draw(self.sinks)

    def forward(self, x: Tensor, step: Step) -> Tensor:
        q = self.q(x).unflatten(-1, (-1, self.head_dim))
        if self.q_norm is not None:
            q = self.q_norm(q)
        mixed = step.attend(  # [B, T, H, E]
            q,
            *self._stored(step.memory),
            source="memory",
            scale=self.scale,
            softcap=self.softcap,
            sinks=self.sinks,
            dropout=self.dropout if self.training else 0.0,
        )
        y: Tensor = self.out(mixed.flatten(2))
        return y

    def _stored(self, memory: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Keys and values [B, M, K, E] of a memory that this call brings."""
        if memory is None:
            return None, None
        k, v = self.kv(memory).unflatten(-1, (-1, self.head_dim)).chunk(2, dim=-2)
        return (k if self.k_norm is None else self.k_norm(k)), v
