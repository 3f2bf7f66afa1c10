"""Which blocks of queries see which blocks of keys, for FlexAttention: worked out once a step for all layers alike.

Legend: B rows, T queries, S keys; both are multiples of BLOCK here.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from llm_build.attend.options import Options, Places
from llm_build.attend.visible import sees

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

BLOCK = 128
"""Queries and keys of a block, as flex takes them by itself."""
ROOM = 2**26
"""So many pairs of a query and a key are looked at together, each for a byte or a few."""

Seen = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Of the numbers of row, head, query and key: whether that query sees that key."""

_made = WeakTensorKeyDictionary()


def block_mask(places: Places, padded: Places, options: Options, seen: Seen) -> BlockMask:
    """The mask of `padded`, which is `places` filled up to whole blocks with what is no token.

    Layers of one step that ask for the same share what was worked out: it is kept for as long as the tensors of
    `places` live, and not for a relation, which may change. Nothing is kept from or for a graph.
    """
    shelf = None if options.mask is not None else _shelf(places)
    if shelf is None:
        return _made_of(padded, options, seen)
    asked = options.causal, options.window
    if asked not in shelf:
        shelf[asked] = _made_of(padded, options)
    mask = copy(shelf[asked])
    # what is kept must not hold the tensors that it is kept for
    mask.mask_mod = seen
    return mask


def _shelf(places: Places) -> dict[Any, BlockMask] | None:
    """What is kept for these tensors as they are now; nothing is where it could outlive what it was made of."""
    if torch.compiler.is_compiling() or (places.q_index.is_cuda and torch.cuda.is_current_stream_capturing()):
        return None
    tensors = places.q_index, places.index(), places.q_index if places.documents is None else places.documents
    if any(each.is_inference() for each in tensors):
        return None  # such a tensor does not count how often it was written to
    shelf = _made
    for each in tensors[:2]:
        shelf = shelf.setdefault(each, WeakTensorKeyDictionary())
    versions = tuple(each._version for each in tensors)
    if tensors[2] not in shelf or shelf[tensors[2]][0] != versions:
        shelf[tensors[2]] = versions, {}
    found: dict[Any, BlockMask] = shelf[tensors[2]][1]
    return found


def _made_of(places: Places, options: Options, seen: Seen | None = None) -> BlockMask:
    from torch.nn.attention.flex_attention import BlockMask

    counts = _counts(places, options)[:, None]  # for all heads
    full = counts == BLOCK * BLOCK
    return BlockMask.from_kv_blocks(
        *_in_order((counts > 0) & ~full),
        *_in_order(full),
        BLOCK_SIZE=BLOCK,
        mask_mod=seen,
        seq_lengths=(places.q_index.shape[1], places.index().shape[1]),
    )


def _in_order(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """bool [B, 1, T', S'] → how many blocks of keys a block of queries has [B, 1, T'], and these before the others."""
    first = chosen.to(torch.int8).argsort(dim=-1, descending=True, stable=True)
    return chosen.sum(-1, dtype=torch.int32), first.to(torch.int32).contiguous()


def _counts(places: Places, options: Options) -> Tensor:
    """How many keys the queries of each block see in each block of keys [B, T', S']."""
    rows, queries = places.q_index.shape
    # a compiler keeps no pair in memory
    at_once = queries if torch.compiler.is_compiling() else ROOM // (rows * places.index().shape[1])
    at_once = max(at_once // BLOCK, 1) * BLOCK
    parts = [_counted(places, options, slice(begin, begin + at_once)) for begin in range(0, queries, at_once)]
    return torch.cat(parts, 1)


def _counted(places: Places, options: Options, part: slice) -> Tensor:
    """The same of some queries."""
    index, documents = places.index(), places.documents
    seen = sees(
        places.q_index[:, part, None],
        index[:, None, :],
        None if documents is None else (documents[:, part, None], documents[:, None, :]),
        options,
    )
    counts: Tensor = seen.unflatten(2, (-1, BLOCK)).unflatten(1, (-1, BLOCK)).sum((2, 4))
    return counts
