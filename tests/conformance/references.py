"""What the modules of built-ins must give, written as plainly as can be: the equations of their sources."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from llm_build import Step
from llm_build.conformance.subject import Reference

NEVER = float("-inf")


def rms(module: Any, x: Tensor) -> Tensor:
    """Zhang and Sennrich 2019, equation 4."""
    gain = module.weight + 1 if module.offset else module.weight
    return x / ((x * x).sum(-1, keepdim=True) / x.shape[-1] + module.eps).sqrt() * gain


def layer(module: Any, x: Tensor) -> Tensor:
    """Ba, Kiros and Hinton 2016, equation 3."""
    centred = x - x.sum(-1, keepdim=True) / x.shape[-1]
    spread = ((centred * centred).sum(-1, keepdim=True) / x.shape[-1] + module.eps).sqrt()
    return centred / spread * module.weight + (0 if module.bias is None else module.bias)


def silu(_module: Any, x: Tensor) -> Tensor:
    """Elfwing, Uchibe and Doya 2017, section 2.1."""
    return x / (1 + (-x).exp())


def topk_softmax(module: Any, x: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Jiang et al. 2024, section 2.1: one position after another."""
    logits = x @ module.linear.weight.T + (0 if module.linear.bias is None else module.linear.bias)
    experts = torch.stack([each.argsort(descending=True)[: module.k] for each in logits])
    chosen = torch.stack([row[each] for row, each in zip(logits, experts, strict=True)]).exp()
    return chosen / chosen.sum(-1, keepdim=True), experts, {}


def rope(module: Any, x: Tensor, positions: Tensor) -> Tensor:
    """Su et al. 2021, section 3.2: a complex number for each pair. What scaling makes of angles is taken from it."""
    pairs = module.rotated // 2
    turns = torch.tensor([module.theta ** (-2 * each / module.rotated) for each in range(pairs)], dtype=x.dtype)
    scaled = turns if module.scaling is None else module.scaling.scaled(turns, module.theta)
    angle = positions[..., None, None] * scaled
    turning, still = x[..., : module.rotated], x[..., module.rotated :]
    first, second = (
        (turning[..., ::2], turning[..., 1::2]) if module.interleaved else (turning[..., :pairs], turning[..., pairs:])
    )
    turned = torch.complex(first, second) * torch.polar(torch.full_like(angle, module.amplitude), angle)
    parts = (
        torch.stack((turned.real, turned.imag), -1).flatten(-2)
        if module.interleaved
        else torch.cat((turned.real, turned.imag), -1)
    )
    return torch.cat((parts, still), -1)


def sinusoidal(module: Any, x: Tensor, positions: Tensor) -> Tensor:
    """Vaswani et al. 2017, section 3.5: one number after another."""
    dim = x.shape[-1]
    waves = [
        [(math.cos if each % 2 else math.sin)(place / module.theta ** ((each - each % 2) / dim)) for each in range(dim)]
        for place in positions.flatten().tolist()
    ]
    return x + torch.tensor(waves, dtype=x.dtype).view_as(x)


def head(module: Any, x: Tensor) -> Tensor:
    """(x · weightᵀ + bias) · scale."""
    logits = x @ module.weight.T + (0 if module.bias is None else module.bias)
    return logits * (1 if module.scale is None else module.scale)


def token(module: Any, tokens: Tensor) -> Tensor:
    """scale · row."""
    rows = torch.stack([module.weight[each] for each in tokens.flatten().tolist()]).view(*tokens.shape, -1)
    return rows * (1 if module.scale is None else module.scale)


def softmax_attention(module: Any, x: Tensor, step: Step) -> Tensor:
    """x [B, T, D] and perhaps a memory [B, M, C] → [B, T, D], head by head and query by query.

    Source: Vaswani et al. 2017, section 3.2.

    Query head h reads key head h // (H / K), as in Ainslie et al. 2023, figure 2.
    """
    (rows, length), memory = x.shape[:2], step.memory
    if memory is None:
        sizes = (module.heads, module.kv_heads, module.kv_heads)
        heads = module.qkv(x).unflatten(-1, (-1, module.head_dim))
        q, k, v = heads.split(sizes, dim=2)
    else:
        q = module.q(x).unflatten(-1, (-1, module.head_dim))
        k, v = module.kv(memory).unflatten(-1, (-1, module.head_dim)).chunk(2, dim=2)
    q, k = (norm(each) if norm is not None else each for norm, each in ((module.q_norm, q), (module.k_norm, k)))
    position = None if memory is not None else module.position
    if position is not None:
        places = torch.arange(length).expand(rows, length)
        q, k = position.rotate(q, places), position.rotate(k, places)
    mixed = torch.zeros_like(q)
    for row, t, head in torch.cartesian_prod(*(torch.arange(size) for size in q.shape[:3])).tolist():
        group = head // (q.shape[2] // k.shape[2])
        seen = [s for s in range(k.shape[1]) if memory is not None or _sees(module.mask, t, s)]
        scores = [float((q[row, t, head] @ k[row, s, group]).detach()) * module.scale for s in seen]
        if module.softcap is not None:
            scores = [module.softcap * math.tanh(each / module.softcap) for each in scores]
        sink = [] if module.sinks is None else [float(module.sinks[head].detach())]
        weights = torch.tensor([*scores, *sink], dtype=q.dtype).softmax(0)[: len(seen)]
        mixed[row, t, head] = weights @ v[row, seen, group]
    found: Tensor = module.out(mixed.flatten(2))
    return found


def _sees(mask: Any, t: int, s: int) -> bool:
    """Whether the query at t sees the key at s."""
    if mask.causal and s > t:
        return False
    return mask.window is None or abs(t - s) < mask.window


def parallel(module: Any, x: Tensor, branches: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """Chowdhery et al. 2022, section 2, "parallel layers"."""
    return x + sum(branch(module.norm(x)) for branch in branches)


def temperature(sampler: Any, logits: Tensor, seen: Tensor) -> Tensor:
    """Keskar et al. 2019, section 4.1, with the sign mended; then the temperature, of which 0 is the limit."""
    found = torch.empty_like(logits)
    for row in range(len(logits)):
        for token, logit in enumerate(logits[row].tolist()):
            penalty = sampler.repetition if seen[row, token] else 1
            found[row, token] = logit / penalty if logit > 0 else logit * penalty
    heat = getattr(sampler, "temperature", 1.0)
    if heat == 0:
        return torch.zeros_like(found).masked_fill(found < found.amax(-1, keepdim=True), NEVER)
    return found / heat


def greedy(sampler: Any, logits: Tensor, seen: Tensor) -> Tensor:
    """0 at the largest, nothing else."""
    found = temperature(sampler, logits, seen)
    return torch.zeros_like(found).masked_fill(found < found.amax(-1, keepdim=True), NEVER)


def top_k(sampler: Any, logits: Tensor, seen: Tensor) -> Tensor:
    """Those that fewer than k exceed."""
    found = temperature(sampler, logits, seen)
    above = (found[:, None, :] > found[:, :, None]).sum(-1)
    return torch.where(above < sampler.k, found, NEVER)


def top_p(sampler: Any, logits: Tensor, seen: Tensor) -> Tensor:
    """Holtzman et al. 2020, equation 2: those above which there is less than p."""
    found = temperature(sampler, logits, seen)
    chances = found.softmax(-1)
    above = torch.where(found[:, None, :] > found[:, :, None], chances[:, None, :], 0.0).sum(-1)
    return torch.where(above < sampler.p, found, NEVER)


def min_p(sampler: Any, logits: Tensor, seen: Tensor) -> Tensor:
    """Nguyen et al. 2024, section 3: those at least p times as likely as the likeliest."""
    found = temperature(sampler, logits, seen)
    chances = found.softmax(-1)
    return torch.where(chances >= sampler.p * chances.amax(-1, keepdim=True), found, NEVER)


REFERENCES: Mapping[str, Reference] = {
    "activation:silu": silu,
    "attention:gqa": softmax_attention,
    "attention:mha": softmax_attention,
    "attention:mqa": softmax_attention,
    "embedding:token": token,
    "head:linear": head,
    "norm:layer": layer,
    "norm:rms": rms,
    "placement:parallel": parallel,
    "position:rope": rope,
    "position:sinusoidal": sinusoidal,
    "router:topk_softmax": topk_softmax,
    "sampler:greedy": greedy,
    "sampler:min_p": min_p,
    "sampler:temperature": temperature,
    "sampler:top_k": top_k,
    "sampler:top_p": top_p,
}
