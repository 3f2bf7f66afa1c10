"""Gated DeltaNet.

Legend: B rows, T positions, D model dim, H heads of queries and keys, G heads of values, E width of a key, V width of a
value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from llm_build import Field
from llm_build_plugins._autocast import without_autocast
from llm_build_plugins.attention._delta_rule import many, one
from llm_build_plugins.attention._short_convolution import ShortConvolution

if TYPE_CHECKING:
    from llm_build import Context, Step
    from llm_build_plugins.attention.gated_delta_config import gated_delta

EPS = 1e-6
RATES = (0.0, 16.0)
STEPS = (1e-3, 1e-1)
"""Between these exp(a_log) and softplus(dt_bias) are drawn, as in the authors' code; the steps by their logarithms."""


class GatedDelta(nn.Module):
    """x [B, T, D] → [B, T, D]: out(norm(y) · silu(gate)), where y is what a gated delta rule reads for each query.

    Keeps a matrix [E, V] a head of values, in float32 or wider, and the last inputs of the convolution. `inputs` is one
    matrix: queries, keys, values, gates, then a number a and a number b for each head of values. Query head h serves
    the value heads from h · G / H on. The recurrence is computed in float32 or wider, under autocast too. Documents of
    packed training begin with a matrix of zeros and see no input of another.
    """

    def __init__(self, config: gated_delta, context: Context) -> None:
        super().__init__()
        dim = context.need("dim")
        self.heads, self.value_heads = config.heads, config.value_heads
        self.head_dim, self.value_dim = config.head_dim, config.value_dim
        keys, values = config.heads * config.head_dim, config.value_heads * config.value_dim
        self.mixed = (keys, keys, values)
        self.widths = (2 * keys + values, values, config.value_heads, config.value_heads)
        self.inputs = nn.Linear(dim, sum(self.widths), bias=False)
        self.convolution = ShortConvolution(2 * keys + values, config.conv)
        self.a_log, self.dt_bias = (nn.Parameter(torch.empty(config.value_heads)) for _ in range(2))
        self.initialise(nn.init.normal_)
        self.norm = config.part("norm", context)
        self.out = nn.Linear(values, dim, bias=False)
        self.out.writes_residual = True  # type: ignore[assignment]
        wide = torch.promote_types(torch.get_default_dtype(), torch.float32)
        matrix = Field((config.value_heads, config.head_dim, config.value_dim), per="sequence", dtype=wide)
        recent = Field((config.conv - 1, 2 * keys + values), per="sequence")
        self.state_spec = {"matrix": matrix, "recent": recent}

    @torch.no_grad()
    def initialise(self, draw: Callable[[Tensor], Any]) -> None:
        low, high = RATES
        self.a_log.copy_((low + (high - low) * spread(self.a_log, draw)).log())
        low, high = (math.log(each) for each in STEPS)
        steps = (low + (high - low) * spread(self.dt_bias, draw)).exp()
        self.dt_bias.copy_(steps + (-torch.expm1(-steps)).log())  # the inverse of softplus

    def forward(self, x: Tensor, step: Step) -> Tensor:
        real = None if step.count is None else step.index >= 0  # [B, T]
        if real is not None:
            x = x.where(real[..., None], 0)
        mixed, gate, a, b = self.inputs(x).split(self.widths, dim=-1)
        segments = None if step.documents is None else segments_of(step.documents)
        q, k, v = self._mixed(mixed, step, segments)
        with without_autocast(x.device.type):
            y = self._recurrence(q, k, v, *self._gates(a, b, real), step, segments)  # [B, T, G, V]
        gated = self.norm(y.to(x.dtype)) * silu(gate.unflatten(-1, (-1, self.value_dim)))
        z: Tensor = self.out(gated.flatten(2))
        return z

    def _mixed(self, mixed: Tensor, step: Step, segments: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys [B, T, G, E] and values [B, T, G, V] after the convolution, in float32 or wider."""
        inputs = torch.cat((step.carry("recent", self.state_spec["recent"], mixed), mixed), dim=1)
        step.keep("recent", self.convolution.latest(inputs, step.count))
        q, k, v = self.convolution(inputs, segments).split(self.mixed, dim=-1)
        shared = self.value_heads // self.heads
        q, k = (unit(each.unflatten(-1, (self.heads, -1))).repeat_interleave(shared, dim=2) for each in (q, k))
        return q * self.head_dim**-0.5, k, v.unflatten(-1, (self.value_heads, -1))

    def _gates(self, a: Tensor, b: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor]:
        """a and b [B, T, G] → log α and β in float32 or wider; both 0, which changes nothing, where no token is."""
        wide = torch.promote_types(a.dtype, torch.float32)
        decay = -self.a_log.to(wide).exp() * softplus(a.to(wide) + self.dt_bias.to(wide))
        beta = b.to(wide).sigmoid()
        if real is None:
            return decay, beta
        return decay.where(real[..., None], 0), beta.where(real[..., None], 0)

    def _recurrence(
        self, q: Tensor, k: Tensor, v: Tensor, decay: Tensor, beta: Tensor, step: Step, segments: Tensor | None
    ) -> Tensor:
        state = step.carry("matrix", self.state_spec["matrix"], q).to(q.dtype)
        if q.shape[1] == 1:
            y, state = one(q, k, v, decay, beta, state)
        else:
            y, state = many(q, k, v, decay, beta, state, segments)
        step.keep("matrix", state)
        return y


def unit(x: Tensor) -> Tensor:
    """[..., E] → of length 1, and less where it is hardly longer than 0."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + EPS)


def segments_of(documents: Tensor) -> Tensor:
    """documents [B, T] → the number of the run of equal ones that a place stands in [B, T]."""
    begins = documents[:, 1:] != documents[:, :-1]
    return torch.nn.functional.pad(begins.long().cumsum(1), (1, 0))


def spread(like: Tensor, draw: Callable[[Tensor], Any]) -> Tensor:
    """Numbers [G] that part (0, 1) evenly, in an order that a draw decides: each head gets another one."""
    drawn = torch.empty_like(like)
    draw(drawn)
    return (drawn.argsort() + 0.5) / len(drawn)
