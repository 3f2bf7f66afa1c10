"""Scenes of attention over what is stored, and the calls of a kernel on them.

Legend: B rows, T new queries a row, H query heads, K key heads, E and Ev widths of keys and values, L tokens a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from _graphs import Call
from llm_build.attend import InOrder, Options, Places

Kernel = Callable[[Tensor, Tensor, Tensor, Places, Options], Tensor]
SPAN, PAGE = 64, 64
COLD = 128 * 2**20
"""So many bytes are read before the same ones come again, so that the cache of a GPU does not have them."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Sizes of one call; `length` tokens a row with the new ones, in room for `capacity`."""

    name: str
    rows: int
    length: int
    capacity: int
    queries: int = 1
    heads: int = 32
    kv_heads: int = 8
    width: int = 128
    v_width: int | None = None
    latent: bool = False
    window: int | None = None
    layout: str = "dense"
    ragged: bool = False
    dtype: torch.dtype = torch.bfloat16
    softcap: float | None = None
    sinks: bool = False

    def __str__(self) -> str:
        return (
            f"{self.name} B{self.rows} T{self.queries} L{self.length}/{self.capacity} {self.layout}"
            f"{f' window {self.window}' if self.window else ''} {str(self.dtype).removeprefix('torch.')}"
        )

    @property
    def read(self) -> int:
        """Bytes of keys and values that are seen, rows of one length."""
        seen = self.length if self.window is None else min(self.length, self.window + self.queries - 1)
        widths = self.width if self.latent else self.width + (self.v_width or self.width)
        return self.rows * seen * self.kv_heads * widths * self.dtype.itemsize

    @property
    def kept(self) -> int:
        """Bytes of what is stored."""
        return self.rows * self.capacity * self.kv_heads * self.width * (1 if self.latent else 2) * self.dtype.itemsize


@dataclass(frozen=True)
class Scene:
    """What a kernel is given."""

    q: Tensor
    k: Tensor
    v: Tensor
    places: Places
    options: Options

    def by(self, kernel: Kernel) -> Tensor:
        return kernel(self.q, self.k, self.v, self.places, self.options)

    def exactly(self, rows: int) -> Scene:
        """The first rows in float64."""
        where: Any = self.places.k_index
        few = replace(where, lengths=where.lengths[:rows], table=None if where.table is None else where.table[:rows])
        k, v = (each if where.table is not None else each[:rows] for each in (self.k, self.v))
        read, index = few.read({"k": k, "v": v}, self.places.q_index[:rows])
        places = replace(self.places, q_index=self.places.q_index[:rows], k_index=index)
        return Scene(self.q[:rows].double(), read["k"].double(), read["v"].double(), places, self.options)


def scene(case: Case, seed: int = 0) -> Scene:
    """Random numbers in every cell. Ragged rows have from no new token to all, after any number of others."""
    random = torch.Generator("cuda").manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, device="cuda", dtype=case.dtype)

    count = torch.full((case.rows,), case.queries, device="cuda")
    old = torch.full((case.rows,), case.length - case.queries, device="cuda")
    if case.ragged:
        count = torch.randint(0, case.queries + 1, (case.rows,), generator=random, device="cuda")
        old = torch.randint(0, case.length - case.queries + 1, (case.rows,), generator=random, device="cuda")
        count[0], old[0] = case.queries, case.length - case.queries
    new = torch.arange(case.queries, device="cuda")
    q_index = torch.where(new < count[:, None], old[:, None] + new, -1)
    span = min(case.capacity, -(-case.length // SPAN) * SPAN)
    where, lead = _laid_out(case, old + count, span)
    k = noise(*lead, case.kv_heads, case.width)
    v = k if case.latent else noise(*lead, case.kv_heads, case.v_width or case.width)
    sinks = torch.randn(case.heads, generator=random, device="cuda") if case.sinks else None
    return Scene(
        noise(case.rows, case.queries, case.heads, case.width),
        k,
        v,
        Places(q_index=q_index, k_index=where, padded=case.ragged),
        Options(window=case.window, softcap=case.softcap, sinks=sinks),
    )


def _laid_out(case: Case, lengths: Tensor, span: int) -> tuple[InOrder, tuple[int, ...]]:
    """Where cells lie, and the axes in front of what is kept of a token."""
    if case.layout == "ring":
        assert case.window is not None, "a ring is for a window"
        size = case.window + case.queries - 1
        return InOrder(lengths=lengths, span=span, ring=size, reach=case.window), (case.rows, size + 1)
    if case.layout == "paged":
        pages = -(-case.capacity // PAGE)
        table = torch.randperm(case.rows * pages, device="cuda").view(case.rows, pages)
        return InOrder(lengths=lengths, span=span, table=table), (case.rows * pages + 2, PAGE)
    return InOrder(lengths=lengths, span=span), (case.rows, case.capacity + 1)


def calls(case: Case, kernel: Kernel) -> Sequence[Call]:
    """A kernel on several scenes of one case, to be called one behind the other as in the layers of a model."""
    copies = max(1, min(64, math.ceil(COLD / case.read), 2**34 // case.kept))
    # what is written into the cells does not matter, and to draw it takes a while
    first = scene(case)
    return [partial(each.by, kernel) for each in (first, *(_copied(first) for _ in range(copies - 1)))]


def _copied(one: Scene) -> Scene:
    k = one.k.clone()
    return replace(one, k=k, v=k if one.v is one.k else one.v.clone())
