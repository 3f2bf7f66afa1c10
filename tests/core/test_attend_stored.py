"""Kernels over what a row has stored, in the order of places: flash's segments, the split kernel's tiles, the choice
among kernels, and on a GPU that each computes what the reference computes."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from llm_build.attend import InOrder, Options, Places, eager, flash, masked, split
from llm_build.attend.dispatch import choose
from llm_build.attend.split import FEW
from llm_build.attend.tiles import LEAST, halves, tiles_for
from tests.laws import law

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
flash_file = sys.modules["llm_build.attend.flash"]
PAGE = 3


@attrs.frozen
class Kept:
    """Queries [B, T, H, E] and what is kept of keys and values, and where all stand."""

    q: Tensor
    k: Tensor
    v: Tensor
    places: Places

    def by(self, kernel: Any, options: Options) -> Tensor:
        out: Tensor = kernel(self.q, self.k, self.v, self.places, options)
        return out

    def exactly(self, options: Options) -> Tensor:
        """What the reference makes of the same numbers in float64."""
        k = self.k.double()
        return eager(self.q.double(), k, k if self.v is self.k else self.v.double(), self.places, options)


@st.composite
def kept(
    draw: st.DrawFn,
    widths: list[tuple[int, int]],
    dtypes: list[torch.dtype],
    most: int = 5,
    capacity: int = 14,
    device: str = "cpu",
    layouts: tuple[str, ...] = ("dense", "ring", "paged"),
) -> tuple[Kept, int | None]:
    """Ragged rows of any length, some without a query, and the reach of what is kept."""
    rows, queries, kv_heads = draw(st.integers(1, 3)), draw(st.integers(1, most)), draw(st.integers(1, 3))
    heads, (width, v_width) = kv_heads * draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from(widths))
    count = torch.tensor([draw(st.integers(0, queries) | st.just(queries)) for _ in range(rows)])
    old = torch.tensor([draw(st.integers(0, capacity - queries)) for _ in range(rows)])
    layout, dtype = draw(st.sampled_from(layouts)), draw(st.sampled_from(dtypes))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random).to(device, dtype)

    lengths, span = (old + count).to(device), draw(st.integers(int((old + count).max()), capacity)) or 1
    where, lead, reach = InOrder(lengths=lengths, span=span), (rows, capacity + 1), None
    if layout == "ring":
        reach = draw(st.integers(1, 5))
        size = reach + queries - 1
        where, lead = InOrder(lengths=lengths, span=span, ring=size, reach=reach), (rows, size + 1)
    if layout == "paged":
        pages = -(-capacity // PAGE)
        table = torch.randperm(rows * pages, generator=random).view(rows, pages).to(device)
        where, lead = InOrder(lengths=lengths, span=span, table=table), (rows * pages + 2, PAGE)
    place = torch.arange(queries)
    q_index = torch.where(place < count[:, None], old[:, None] + place, -1).to(device)
    k = noise(*lead, kv_heads, width)
    v = k if width == v_width and draw(st.booleans()) else noise(*lead, kv_heads, v_width)
    padded = bool((count < queries).any()) or draw(st.booleans())
    return Kept(noise(rows, queries, heads, width), k, v, Places(q_index=q_index, k_index=where, padded=padded)), reach


@st.composite
def windows(draw: st.DrawFn, reach: int | None) -> dict[str, Any]:
    """Causality and a window that what is kept reaches."""
    if reach is not None:
        return {"window": draw(st.integers(1, reach))}
    return {"window": draw(st.none() | st.integers(1, 9)), "causal": draw(st.booleans())}


def as_flash_says(
    q: Tensor, k: Tensor, v: Tensor, starts: Tensor, k_starts: Tensor, longest: int, most: int, *_: Any, **told: Any
) -> tuple[Tensor]:
    """What torch's kernel for segments promises: the last query of a segment is one with its last key."""
    out = torch.full((*q.shape[:2], v.shape[-1]), float("nan"), dtype=q.dtype)
    for begin, end, at, used in zip(starts[:-1], starts[1:], k_starts[:-1], told["seqused_k"], strict=True):
        assert end - begin <= longest
        assert used <= most
        if not used:
            out[begin:end] = 0
            continue
        assert at + used <= len(k)
        i, j = torch.arange(int(end - begin))[:, None] + used - (end - begin), torch.arange(int(used))
        near, far = told["window_size_right"], told["window_size_left"]
        seen = torch.ones(len(i), len(j), dtype=torch.bool)
        seen = seen if near is None else seen & (j <= i + near)
        seen = seen if far is None else seen & (j >= i - far)
        keys, values = (each[at : at + used].repeat_interleave(q.shape[1] // k.shape[1], 1) for each in (k, v))
        scores = torch.einsum("qhe,khe->hqk", q[begin:end], keys) * (told["scale"] or q.shape[-1] ** -0.5)
        weights = scores.masked_fill(~seen, -float("inf")).softmax(-1).nan_to_num(0)
        out[begin:end] = torch.einsum("hqk,khe->qhe", weights, values)
    return (out,)


@law
@given(kept(widths=[(8, 8), (8, 4)], dtypes=[torch.float64]), st.data())
def test_flash_is_told_segments_in_which_it_sees_what_the_reference_sees(
    drawn: tuple[Kept, int | None], data: st.DataObject
) -> None:
    given_, reach = drawn
    options = Options(**data.draw(windows(reach)), scale=data.draw(st.none() | st.just(0.3)))
    operations = SimpleNamespace(aten=SimpleNamespace(_flash_attention_forward=as_flash_says))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flash_file.torch, "ops", operations)
        found = given_.by(flash, options)
    real = given_.places.q_index >= 0
    torch.testing.assert_close(found[real], given_.exactly(options)[real], rtol=1e-9, atol=1e-9)
    assert not given_.places.padded or (found[~real] == 0).all()


@law
@given(st.integers(1, 700) | st.sampled_from([257, 264, 520]))
def test_two_powers_of_two_hold_a_head_and_waste_less_than_it_takes(width: int) -> None:
    first, rest = halves(width)
    assert all(each == 0 or each & (each - 1) == 0 for each in (first, rest))
    assert rest == 0 or rest >= LEAST
    assert width <= first + rest < max(2 * width, 2 * LEAST)


@law
@given(
    st.integers(1, 512),
    st.integers(1, 64),
    st.integers(1, 300),
    st.sampled_from([(64, 64), (128, 128), (80, 256), (576, 576)]),
    st.integers(1, 100_000),
    st.sampled_from([2, 4]),
)
def test_tiles_fit_the_shared_memory_of_a_gpu_and_a_split_has_a_key(
    rows: int, kv_heads: int, queries: int, widths: tuple[int, int], cells: int, itemsize: int
) -> None:
    tiles = tiles_for(rows, kv_heads, queries, *widths, cells, itemsize)
    assert tiles.keys * sum(sum(halves(each)) for each in widths) * itemsize * (tiles.stages - 1) <= 160 * 2**10
    assert tiles.splits == 1 or tiles.splits * tiles.keys < 2 * cells + tiles.keys
    assert all(each & (each - 1) == 0 for each in (tiles.rows, tiles.keys, tiles.splits))


class OnGpu:
    """What the choice looks at of a tensor."""

    device = torch.device("cuda")

    def __init__(self, *shape: int, dtype: torch.dtype = torch.bfloat16) -> None:
        self.shape, self.dtype = shape, dtype


IN_ORDER = InOrder(lengths=torch.zeros(1).long(), span=64)
ANYWHERE = torch.zeros(1, 64).long()


@pytest.mark.parametrize(
    ("where", "queries", "options", "dtype", "width", "kernel", "slow"),
    [
        (IN_ORDER, 1, Options(), torch.bfloat16, 64, split, ""),
        (ANYWHERE, 1, Options(window=3), torch.float32, 64, split, ""),
        (IN_ORDER, FEW + 1, Options(window=3), torch.bfloat16, 64, flash, ""),
        (IN_ORDER, FEW + 1, Options(softcap=3), torch.bfloat16, 64, split, ""),
        (IN_ORDER, 1, Options(sinks=ANYWHERE), torch.float64, 64, eager, "no sinks"),
        (ANYWHERE, FEW + 1, Options(), torch.bfloat16, 64, masked, ""),
        (IN_ORDER, FEW + 1, Options(), torch.float32, 64, masked, ""),
        (IN_ORDER, FEW + 1, Options(), torch.bfloat16, 260, masked, "a multiple of 8"),
        (IN_ORDER, 1, Options(), torch.float64, 64, masked, "float64"),
        (IN_ORDER, 1, Options(mask=lambda q, k: q == k), torch.bfloat16, 64, masked, ""),
    ],
)
@torch.no_grad()
def test_the_choice_on_a_gpu_rests_on_what_is_static_and_says_what_is_slow(
    monkeypatch: pytest.MonkeyPatch, where: Any, queries: int, options: Options, dtype: Any, width: int, kernel: Any,
    slow: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys.modules["llm_build.attend.split"], "HAS_TRITON", True)
    q: Any = OnGpu(1, queries, 4, width, dtype=dtype)
    k: Any = OnGpu(1, 64, 2, width, dtype=dtype)
    places = Places(q_index=torch.zeros(1, queries).long(), k_index=where)
    chosen, why, is_slow = choose(q, k, places, options)
    assert (chosen, is_slow) == (kernel, bool(slow))
    assert slow in why


@torch.no_grad()
def test_without_triton_a_gpu_says_what_would_bring_the_faster_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["llm_build.attend.split"], "HAS_TRITON", False)
    x: Any = OnGpu(1, 1, 2, 64, dtype=torch.float32)
    places = Places(q_index=torch.zeros(1, 1).long(), k_index=IN_ORDER)
    assert choose(x, x, places, Options()) == (masked, "the split kernel needs Triton: pip install triton", True)


CLOSE = {torch.float32: 3e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}
HALF = [torch.float16, torch.bfloat16]
some = settings(law, max_examples=25)


@on_gpu
@some
@given(
    kept(widths=[(64, 64), (80, 48), (576, 576)], dtypes=list(CLOSE), most=6, capacity=700, device="cuda"),
    st.booleans(),
    st.data(),
)
@torch.no_grad()
def test_on_a_gpu_the_split_kernel_is_the_reference(
    drawn: tuple[Kept, int | None], hard: bool, data: st.DataObject
) -> None:
    given_, reach = drawn
    sinks = torch.randn(given_.q.shape[2], device="cuda") if hard else None
    options = Options(**data.draw(windows(reach)), sinks=sinks, softcap=5.0 if hard else None)
    found, close = given_.by(split, options), CLOSE[given_.q.dtype]
    torch.testing.assert_close(found.double(), given_.exactly(options), rtol=close, atol=close)
    assert torch.equal(found, given_.by(split, options)), "twice the same"
    k, v, places = given_.places.read(given_.k, given_.v)
    apart = attrs.evolve(given_, k=k, v=v, places=places)
    torch.testing.assert_close(apart.by(split, options), found, rtol=close, atol=close)


@on_gpu
@some
@given(kept(widths=[(64, 64), (192, 128)], dtypes=HALF, most=200, capacity=700, device="cuda"), st.data())
@torch.no_grad()
def test_on_a_gpu_flash_over_what_is_stored_is_the_reference(
    drawn: tuple[Kept, int | None], data: st.DataObject
) -> None:
    given_, reach = drawn
    options = Options(**data.draw(windows(reach)))
    found, close = given_.by(flash, options), CLOSE[given_.q.dtype]
    real = given_.places.q_index >= 0
    torch.testing.assert_close(found[real].double(), given_.exactly(options)[real], rtol=close, atol=close)
    assert not given_.places.padded or (found[~real] == 0).all()
