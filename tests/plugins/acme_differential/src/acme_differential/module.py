"""Differential attention. Legend: B rows, T positions, S stored positions, D model dim, H heads, E head dim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from llm_build import Field

if TYPE_CHECKING:
    from acme_differential.config import differential
    from llm_build import Context, Step


class DifferentialAttention(nn.Module):
    """x [B, T, D] → [B, T, D]: out(concat((1 - λ_init) · norm((softmax(q₁k₁ᵀ) - λ · softmax(q₂k₂ᵀ)) v))).

    Keeps two keys [E] and one value [2E] a head and token. The two maps of a head stand next to each other.
    """

    def __init__(self, config: differential, context: Context) -> None:
        super().__init__()
        dim, heads, width = context.need("dim"), config.heads, config.head_dim
        self.q = nn.Linear(dim, heads * 2 * width, bias=False)
        self.k = nn.Linear(dim, heads * 2 * width, bias=False)
        self.v = nn.Linear(dim, heads * 2 * width, bias=False)
        self.out = nn.Linear(heads * 2 * width, dim, bias=False)
        # initialisers draw what writes into the residual stream smaller
        self.out.writes_residual = True  # type: ignore[assignment]
        self.norm = nn.RMSNorm(2 * width, eps=1e-5)
        # one λ for all heads; the authors' code draws its vectors with this deviation
        self.q1, self.k1, self.q2, self.k2 = (nn.Parameter(0.1 * torch.randn(width)) for _ in range(4))
        self.position = config.part("position", context)
        self.heads, self.width, self.lambda_init = heads, width, config.lambda_init
        self.causal, self.window, self.dropout = context.causal, config.window, config.dropout
        reach = config.window if context.causal else None
        self.state_spec = {"k": Field((2 * heads, width), reach=reach), "v": Field((heads, 2 * width), reach=reach)}

    def forward(self, x: Tensor, step: Step) -> Tensor:
        q, k = (each(x).unflatten(-1, (2 * self.heads, self.width)) for each in (self.q, self.k))
        v = self.v(x).unflatten(-1, (self.heads, 2 * self.width))
        if self.position is not None:
            q, k = (self.position.rotate(each, step.positions) for each in (q, k))
        both = step.attend(  # [B, T, 2H, 2E]
            q,
            k,
            v,
            expand=_for_both_maps,
            causal=self.causal,
            window=self.window,
            dropout=self.dropout if self.training else 0.0,
        )
        first, second = both.unflatten(2, (self.heads, 2)).unbind(3)
        mixed = (1 - self.lambda_init) * self.norm(first - self._lambda() * second)  # [B, T, H, 2E]
        y: Tensor = self.out(mixed.flatten(2))
        return y

    def _lambda(self) -> Tensor:
        """Equation 2."""
        return (self.q1 @ self.k1).exp() - (self.q2 @ self.k2).exp() + self.lambda_init


def _for_both_maps(k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Keys [B, S, 2H, E] as they are; each value [B, S, H, 2E] for both maps of its head."""
    return k, v.repeat_interleave(2, dim=2)
