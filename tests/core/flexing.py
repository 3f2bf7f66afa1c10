"""Scenes for FlexAttention, and masks and biases as plugins write them."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from hypothesis import strategies as st
from torch import Tensor

from llm_build.attend import Options, Places, Relation


@attrs.frozen
class Scene:
    """Queries, keys and values that want gradients, where they stand, and what is asked."""

    q: Tensor
    k: Tensor
    v: Tensor
    places: Places
    options: Options

    def by(self, kernel: Any) -> list[Tensor]:
        """What a kernel gives, and the gradients of q, k, v and sinks."""
        out = kernel(self.q, self.k, self.v, self.places, self.options)
        weights = torch.linspace(-1, 2, out.numel(), dtype=out.dtype, device=out.device).view_as(out)
        given = [each for each in (self.q, self.k, self.v, self.options.sinks) if each is not None]
        return [out, *torch.autograd.grad((out * weights).sum(), given)]


def even_distance(q: Tensor, k: Tensor) -> Tensor:
    return (q - k) % 2 == 0


def three_back(q: Tensor, k: Tensor) -> Tensor:
    return q - k == 3


def distance(heads: int) -> Relation:
    """A bias that falls with the distance, more steeply for the first heads: [B, H, T, S]."""

    def bias(q: Tensor, k: Tensor) -> Tensor:
        slopes = -0.3 / torch.arange(1, heads + 1, device=q.device)
        return slopes[:, None, None] * (q - k).abs()[:, None]

    return bias


def near(q: Tensor, k: Tensor) -> Tensor:
    """A bias for all heads alike: [B, 1, T, S]."""
    return -0.1 * (q - k).abs()[:, None]


@st.composite
def scenes(draw: st.DrawFn, longest: int = 9, widths: int = 4, dtype: torch.dtype = torch.float64) -> Scene:
    """Self-attention over documents, padded or both, and reading of another sequence; every option."""
    rows, queries, kv_heads = draw(st.integers(1, 3)), draw(st.integers(1, longest)), draw(st.integers(1, 2))
    heads, own = kv_heads * draw(st.integers(1, 3)), draw(st.booleans())
    keys = queries if own else draw(st.integers(1, longest))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random).to(dtype).requires_grad_()

    def index(length: int) -> Tensor:
        real = torch.randint(0, length + 1, (rows, 1), generator=random)
        return torch.arange(length).where(torch.arange(length) < real, -1)

    q_index = index(queries)
    documents = (
        (torch.arange(queries) // draw(st.integers(1, 5))).repeat(rows, 1) if own and draw(st.booleans()) else None
    )
    width, v_width = draw(st.integers(1, widths)), draw(st.integers(1, widths))
    return Scene(
        noise(rows, queries, heads, width),
        noise(rows, keys, kv_heads, width),
        noise(rows, keys, kv_heads, v_width),
        Places(q_index=q_index, k_index=q_index if own else index(keys), documents=documents, padded=True),
        Options(
            causal=draw(st.booleans()),
            window=draw(st.none() | st.integers(1, 4)),
            scale=draw(st.none() | st.floats(0.1, 2)),
            softcap=draw(st.none() | st.just(0.7)),
            sinks=draw(st.none() | st.just(noise(heads))),
            bias=draw(st.sampled_from([None, distance(heads), near])),
            mask=draw(st.sampled_from([None, even_distance, three_back])),
        ),
    )


def packed(length: int = 128) -> Places:
    index = torch.arange(length)[None]
    return Places(q_index=index, k_index=index, documents=index // 50)
