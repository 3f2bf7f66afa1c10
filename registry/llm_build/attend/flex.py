"""FlexAttention, compiled: many queries with documents, padding, windows, a mask, a bias, a softcap or sinks on a GPU.
Scores stay in the kernel, and blocks in which nothing is seen are never read.

Legend: B rows, T queries, S keys, H query heads, K key/value heads, E and Ev widths of keys and values.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from llm_build.attend._blocks import BLOCK, Seen, block_mask
from llm_build.attend.eager import eager
from llm_build.attend.masked import masked
from llm_build.attend.options import Options, Places
from llm_build.attend.visible import sees
from llm_build.kernels import HAS_TRITON, with_own_code

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

log = logging.getLogger("llm_build.attend")

MANY = 1024
"""Fewer queries of a row are not worth a compiled kernel: on an H100 it was no faster at 512, three times at 4,096."""
NARROWEST, WIDEST = 16, 256
HALF = (torch.bfloat16, torch.float16)

Scored = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""Of a score and the numbers of row, head, query and key: the score to take."""

_compiled: dict[Hashable, Callable[..., Tensor]] = {}
_refused: set[Hashable] = set()
_numbers = itertools.count()


class Uncompiled(RuntimeError):
    """torch.compile was asked for a kernel and ran the function as it is."""


def flex_lacks(q: Tensor, v: Tensor, places: Places, options: Options) -> str:
    """Why this kernel is not to attend here; nothing where it is."""
    if q.device.type != "cuda":
        return "flex runs on a GPU"
    if not HAS_TRITON:
        return "flex needs Triton"
    if options.dropout:
        return "flex has no dropout"
    if q.shape[1] < MANY:
        return f"flex is for {MANY} queries a row"
    if min(q.shape[-1], v.shape[-1]) < NARROWEST or max(q.shape[-1], v.shape[-1]) > WIDEST:
        return f"flex takes heads of {NARROWEST} to {WIDEST} numbers"
    if not torch.is_grad_enabled() and places.k_index is not places.q_index:
        return "flex is compiled for each length, and what is stored grows with every call"
    dtype = _dtype(q)
    # in float32 it has the smallest tiles, which are worth it where nothing else keeps scores out of memory
    if dtype not in HALF and (dtype != torch.float32 or (options.softcap is None and options.sinks is None)):
        return f"flex takes half precision, not {dtype}"
    if not torch.compiler.is_compiling() and (_kind(q, v, places, options), q.shape, v.shape) in _refused:
        return "flex could not be compiled"
    return _relation_lacks(q, places, options)


def _relation_lacks(q: Tensor, places: Places, options: Options) -> str:
    """Why the bias or the mask cannot be asked of one query and one key at a time; nothing where they can."""
    if options.bias is None and options.mask is None:
        return ""
    # a place of the first row is as good as any: shapes and gradients are static
    one = places.q_index[:1, :1, None]
    if options.mask is not None and options.mask(one, one).numel() != 1:
        return "the mask is no function of two places alone"
    if options.bias is not None:
        bias = options.bias(one, one)
        if bias.requires_grad:
            return "flex gives a bias its gradient key by key"
        if bias.numel() != 1 and (bias.numel() != q.shape[2] or bias.shape[-3] != q.shape[2]):
            return "the bias is no function of a head and two places alone"
    return ""


def flex(q: Tensor, k: Tensor, v: Tensor, places: Places, options: Options) -> Tensor:
    """q [B, T, H, E], k and v [B, S, K, …] or as kept → [B, T, H, Ev]; zeros where a query sees nothing.

    `bias` and `mask` are called with one place of a query and one of a key, [1, 1, 1] each. Where torch cannot compile
    the kernel, a line says why, and what attends without it does so from then on.
    """
    kind, asked = _kind(q, v, places, options), (q.shape, v.shape)
    k, v, places = places.read(k, v)
    if torch.compiler.is_compiling():
        return _attend(_attended, q, k, v, places, options)
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException  # slow to import
    from torch._functorch import config

    try:
        # with its gradients, which torch would leave for the first backward pass, where nothing else could step in
        with config.patch(force_non_lazy_backward_lowering=True):
            return _attend(_kernel(kind), q, k, v, places, options)
    except (TorchDynamoException, FailOnRecompileLimitHit, Uncompiled) as fault:
        _refused.add((kind, *asked))
        other = masked if options.softcap is None and options.sinks is None else eager
        cause = getattr(fault, "inner_exception", fault)
        why = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
        log.warning("%s attends instead of flex, which torch could not compile: %s", other.__name__, why)
    return other(q, k, v, places, options)


def _attend(kernel: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, places: Places, options: Options) -> Tensor:
    """Filled up to whole blocks, so that lengths are few, as each is compiled, and no kernel cuts a block."""
    queries, dtype = q.shape[1], _dtype(q)
    whole = _whole(places)
    mask = block_mask(places, whole, options, _seen(whole, options))
    q, k, v = (_filled(each.to(dtype), 1).transpose(1, 2) for each in (q, k, v))
    out = kernel(q, k, v, _scored(whole, options, q.shape[1]), mask, options.scale, options.sinks)
    return out.transpose(1, 2)[:, :queries]


def _attended(
    q: Tensor, k: Tensor, v: Tensor, scored: Scored | None, mask: BlockMask, scale: float | None, sinks: Tensor | None
) -> Tensor:
    """q [B, H, T, E], k [B, K, S, E], v [B, K, S, Ev] → [B, H, T, Ev]."""
    from torch.nn.attention.flex_attention import AuxRequest, flex_attention

    if sinks is None:
        out: Tensor = flex_attention(q, k, v, scored, mask, scale, enable_gqa=True)
        return out
    out, aux = flex_attention(q, k, v, scored, mask, scale, enable_gqa=True, return_aux=AuxRequest(lse=True))
    assert aux.lse is not None, "it was asked for"
    # a query that sees nothing has -inf; a sink may be -inf as well
    total = aux.lse.clamp(min=torch.finfo(aux.lse.dtype).min)
    share = (total - sinks[:, None]).sigmoid()
    return (out * share[..., None]).to(out.dtype)


def _traced(*args: Any) -> Tensor:
    if not torch.compiler.is_compiling():
        # flex alone would hold all scores
        raise Uncompiled("torch.compile is switched off")
    return _attended(*args)


def _kernel(kind: Hashable) -> Callable[..., Tensor]:
    """The compiled kernel of a kind.

    Sizes are static: with dynamic ones torch's kernel gave NaN (pytorch issue 186775). Each kind has code of its own,
    by which torch keeps what it compiled, so that no kind uses up another's number of sizes.
    """
    if kind not in _compiled:
        own = with_own_code(_traced, f"flex_{next(_numbers)}")
        _compiled[kind] = torch.compile(own, fullgraph=True, dynamic=False)
    return _compiled[kind]


def _kind(q: Tensor, v: Tensor, places: Places, options: Options) -> Hashable:
    """What one piece of compiled code is for, sizes apart."""
    return (
        _dtype(q), torch.is_grad_enabled(), q.shape[2:], v.shape[2:],
        places.documents is None, options.causal, options.window, options.scale, options.softcap,
        options.sinks is None, _code(options.bias), _code(options.mask),
    )  # fmt: skip


def _code(relation: Any) -> Any:
    """One for all functions that were made of the same lines."""
    return getattr(relation, "__code__", type(relation))


def _dtype(q: Tensor) -> torch.dtype:
    """What is computed in: what autocast says, as everywhere, or as it is."""
    casts = q.dtype != torch.float64 and torch.is_autocast_enabled(q.device.type)
    return torch.get_autocast_dtype(q.device.type) if casts else q.dtype


def _whole(places: Places) -> Places:
    """Filled up to whole blocks with what is no token."""
    documents = places.documents
    return replace(
        places,
        q_index=_filled(places.q_index, 1, -1),
        k_index=_filled(places.index(), 1, -1),
        documents=None if documents is None else _filled(documents, 1),
    )


def _filled(x: Tensor, axis: int, value: int = 0) -> Tensor:
    more = -x.shape[axis] % BLOCK
    return pad(x, (0, 0) * (x.dim() - 1 - axis) + (0, more), value=value) if more else x


def _seen(places: Places, options: Options) -> Seen:
    """Whether a query sees a key, by their numbers: a kernel asks it of blocks that are seen in part."""
    q_index, k_index, documents = places.q_index, places.index(), places.documents
    mask = options.mask

    def one(q: Tensor, k: Tensor) -> Tensor:
        assert mask is not None
        return mask(q.view(1, 1, 1), k.view(1, 1, 1)).view(())

    said = options if mask is None else replace(options, mask=one)

    def seen(b: Tensor, _h: Tensor, t: Tensor, s: Tensor) -> Tensor:
        both = None if documents is None else (documents[b, t], documents[b, s])
        return sees(q_index[b, t], k_index[b, s], both, said)

    return seen


def _scored(places: Places, options: Options, heads: int) -> Scored | None:
    """What becomes of a scaled score, by its numbers."""
    q_index, k_index = places.q_index, places.index()
    softcap, bias = options.softcap, options.bias
    if softcap is None and bias is None:
        return None

    def scored(score: Tensor, b: Tensor, h: Tensor, t: Tensor, s: Tensor) -> Tensor:
        if softcap is not None:
            score = softcap * torch.tanh(score / softcap)
        if bias is not None:
            of_heads = bias(q_index[b, t].view(1, 1, 1), k_index[b, s].view(1, 1, 1)).expand(1, heads, 1, 1)
            score = score + of_heads[0, :, 0, 0][h].to(torch.promote_types(score.dtype, torch.float32))
        return score

    return scored
