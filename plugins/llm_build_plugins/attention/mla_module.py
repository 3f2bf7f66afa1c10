"""Multi-head latent attention.

Legend: B rows, T positions, S stored positions, D model dim, Q width of queries or of their latent, H heads, R width of
the latent, N numbers of a head that do not rotate, P that do, E = N + P, V width of a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from llm_build import Field, ParameterGroup
from llm_build_plugins.attention._heads import head_by_head

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_build import Context, Step
    from llm_build_plugins.attention.mla_config import mla

LONG = 64
"""A text of so many tokens is one of any length, where the ways over it are compared for a single query."""


class LatentAttention(nn.Module):
    """x [B, T, D] → [B, T, D]: out(softmax(scale · q · kᵀ) · v), where k and v are made of a latent [R] a token.

    Keeps of each token, in one field, the normed latent [R] and the rotated key [P] that all heads share. There are two
    ways over it, and calls of one conversation may change between them:

    expanded  keys and values of every head are made of what is stored; the fewest products for each score
    absorbed  `kv_up` goes into queries and outputs, and the latents themselves are attended over: more products for
              each score, and none for what was stored before

    `down` is one matrix [Q + R + P, D]: queries or their latent, the latent of keys and values, the shared key. `kv_up`
    [H, N + V, R] makes keys, then values, head by head.
    """

    parameter_groups: ClassVar[Mapping[str, ParameterGroup]] = {"kv_up": ParameterGroup()}

    def __init__(self, config: mla, context: Context) -> None:
        super().__init__()
        dim, heads = context.need("dim"), config.heads
        queries = heads * (config.nope + config.rope)
        self.heads, self.rank = heads, config.kv_rank
        self.nope, self.rope, self.v = config.nope, config.rope, config.v
        self.widths = (config.q_rank or queries, config.kv_rank, config.rope)
        self.down = nn.Linear(dim, sum(self.widths), bias=False)
        self.q_norm = config.norm.build(context.with_(dim=config.q_rank)) if config.q_rank else None
        self.q_up = nn.Linear(config.q_rank, queries, bias=False) if config.q_rank else None
        self.kv_norm = config.part("norm", context)
        self.kv_up = nn.Parameter(torch.empty(heads, config.nope + config.v, config.kv_rank))
        nn.init.normal_(self.kv_up, std=config.kv_rank**-0.5)
        self.out = nn.Linear(heads * config.v, dim, bias=False)
        self.out.writes_residual = True  # type: ignore[assignment]
        self.position = config.part("position", context)
        self.mask = config.part("mask", context)
        self.scale = config.scale * getattr(self.position, "score_factor", 1.0)
        self.dropout = config.dropout
        reach = self.mask.window if self.mask.causal else None
        kept = Field((1, config.kv_rank + config.rope), reach=reach, parts=(config.kv_rank, config.rope))
        self.state_spec = {"k": kept}

    def initialise(self, draw: Callable[[Tensor], None]) -> None:
        draw(self.kv_up)

    def forward(self, x: Tensor, step: Step) -> Tensor:
        q, latent, shared = self.down(x).split(self.widths, dim=-1)
        if self.q_up is not None and self.q_norm is not None:
            q = self.q_up(self.q_norm(q))
        still, turning = q.unflatten(-1, (self.heads, -1)).split((self.nope, self.rope), dim=-1)
        shared = shared[..., None, :]  # [B, T, 1, P]
        if self.position is not None:
            turning, shared = (self.position.rotate(each, step.positions) for each in (turning, shared))
        stored = torch.cat((self.kv_norm(latent)[..., None, :].to(shared.dtype), shared), dim=-1)  # [B, T, 1, R + P]
        way = self._absorbed if self._writes(step) or self.absorbs(x.shape[1], step.span) else self._expanded
        y: Tensor = self.out(way(still, turning, stored, step).flatten(2))
        return y

    def _writes(self, step: Step) -> bool:
        """Whether each row has one query, which takes fewer products absorbed from a few stored positions on: then no
        graph of a step depends on the length in use."""
        return step.view is not None and step.index.shape[1] == 1 and self.absorbs(1, LONG)

    def absorbs(self, new: int, seen: int) -> bool:
        """Whether `new` queries a row over at most `seen` stored positions take fewer products absorbed.

        Both numbers are static. Without a state `seen` is 0, and all that is seen is new: expanding costs no more.
        """
        folding = self.rank * (self.nope + self.v)  # products for one query absorbed, as for one position expanded
        more = 2 * self.rank - self.nope - self.v  # products for one score
        return new * (folding + seen * more) <= seen * folding

    def _expanded(self, still: Tensor, turning: Tensor, stored: Tensor, step: Step) -> Tensor:
        """Queries [B, T, H, N] and [B, T, H, P] → [B, T, H, V]."""
        return self._attend(torch.cat((still, turning), dim=-1), stored, step, self._keys_and_values)

    def _absorbed(self, still: Tensor, turning: Tensor, stored: Tensor, step: Step) -> Tensor:
        """The same: (q · K c) = (Kᵀ q) · c for a latent c, and Σ weight · V c = V Σ weight · c."""
        keys, values = self.kv_up.split((self.nope, self.v), dim=1)  # [H, N, R], [H, V, R]
        steady = isinstance(self.kv_up, nn.Parameter)
        q = head_by_head(still, keys.mT, turning, steady=steady)
        # the sum of the rotary parts is left out afterwards: keys and values are one, which is read once and not copied
        latents = self._attend(q, stored, step)[..., : self.rank]
        return head_by_head(latents, values, steady=steady)

    def _attend(
        self,
        q: Tensor,
        stored: Tensor,
        step: Step,
        expand: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None,
    ) -> Tensor:
        return step.attend(
            q,
            stored,
            expand=expand,
            causal=self.mask.causal,
            window=self.mask.window,
            mask=self.mask.allowed,
            scale=self.scale,
            dropout=self.dropout if self.training else 0.0,
        )

    def _keys_and_values(self, stored: Tensor) -> tuple[Tensor, Tensor]:
        """[B, S, 1, R + P] → keys [B, S, H, E] and values [B, S, H, V]."""
        latent, shared = stored.split((self.rank, self.rope), dim=-1)
        made = linear(latent.squeeze(2), self.kv_up.flatten(0, 1)).unflatten(-1, (self.heads, -1))
        keys, values = made.split((self.nope, self.v), dim=-1)
        return torch.cat((keys, shared.expand(-1, -1, self.heads, -1).to(keys.dtype)), dim=-1), values
