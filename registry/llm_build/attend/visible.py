"""Which keys a query sees. Legend: B rows, T queries, S keys, H query heads."""

from __future__ import annotations

from torch import Tensor

from llm_build.attend.options import Options, Places


def visible(places: Places, options: Options) -> Tensor:
    """bool [B, T, S]: both are tokens, and causality, window, documents and mask allow it."""
    documents = places.documents
    return sees(
        places.q_index[:, :, None],
        places.index()[:, None, :],
        None if documents is None else (documents[:, :, None], documents[:, None, :]),
        options,
    )


def sees(q: Tensor, k: Tensor, documents: tuple[Tensor, Tensor] | None, options: Options) -> Tensor:
    """Whether a query at q sees a key at k; `documents` are those of the query and of the key. Shapes broadcast."""
    # with causality a query that is no token, at -1, sees no token by itself
    seen = (k >= 0) & ((k <= q) if options.causal else (q >= 0))
    if options.window is not None:
        seen = seen & (k > q - options.window)
        if not options.causal:
            seen = seen & (k < q + options.window)
    if documents is not None:
        seen = seen & (documents[0] == documents[1])
    if options.mask is not None:
        seen = seen & options.mask(q, k)
    return seen


def bias_of(places: Places, options: Options, heads: int) -> Tensor | None:
    """The additive bias [B, H, T, S], or None."""
    if options.bias is None:
        return None
    rows, queries = places.q_index.shape
    k_index = places.index()
    bias = options.bias(places.q_index[:, :, None], k_index[:, None, :])
    return bias.expand(rows, heads, queries, k_index.shape[1])
