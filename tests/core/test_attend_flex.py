"""FlexAttention: what it is told is what the reference sees, when it is chosen, and on a GPU that what is compiled
computes what the reference computes."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention import flex_attention as torchs

from llm_build.attend import InOrder, Options, Places, eager, flex, masked, visible
from llm_build.attend.dispatch import choose
from llm_build.attend.flex import MANY
from tests.core.flexing import Scene, distance, even_distance, near, scenes, three_back
from tests.laws import law

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
# the package offers the function under the name of its file
flex_file, blocks_file = (sys.modules[f"llm_build.attend.{name}"] for name in ("flex", "_blocks"))
SMALL = 4


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in (flex_file, blocks_file):
        monkeypatch.setattr(each, "BLOCK", SMALL)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch, small_blocks: None) -> None:
    """torch's mathematics of flex, with gradients: it refuses these on a CPU, where its kernel has none."""
    monkeypatch.setattr(torchs, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    monkeypatch.setattr(torchs, "_validate_device", lambda *_: None)
    monkeypatch.setattr(flex_file, "_kernel", lambda _kind: flex_file._attended)


@settings(law, max_examples=25)
@given(scenes())
@pytest.mark.usefixtures("uncompiled")
def test_what_flex_is_told_agrees_with_the_reference_gradients_too(scene: Scene) -> None:
    for found, expected in zip(scene.by(flex), scene.by(eager), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("sink", [0.0, float("-inf")])
def test_a_query_that_sees_nothing_gives_zeros_and_finite_gradients_beside_any_sink(sink: float) -> None:
    x = torch.randn(1, 5, 2, 3, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([[0, 1, 2, -1, -1]])
    sinks = torch.full((2,), sink, dtype=torch.float64, requires_grad=True)
    scene = Scene(x, x, x, Places(q_index=index, k_index=index, padded=True), Options(mask=three_back, sinks=sinks))
    for each in scene.by(flex):
        assert (each == 0).all()


@law
@given(scenes(longest=14), st.sampled_from([1, 40]))
@pytest.mark.usefixtures("small_blocks")
def test_a_block_is_skipped_where_nothing_is_seen_and_whole_where_everything_is(scene: Scene, room: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_file, "ROOM", room)
        whole = flex_file._whole(scene.places)
        mask = blocks_file.block_mask(scene.places, whole, scene.options, flex_file._seen(whole, scene.options))
    seen = visible(whole, scene.options).unflatten(2, (-1, SMALL)).unflatten(1, (-1, SMALL)).sum((2, 4))
    full = seen == SMALL * SMALL
    assert torch.equal(dense(mask.full_kv_num_blocks, mask.full_kv_indices), full)
    assert torch.equal(dense(mask.kv_num_blocks, mask.kv_indices), (seen > 0) & ~full)
    # by keys, for gradients
    assert torch.equal(dense(mask.full_q_num_blocks, mask.full_q_indices).mT, full)


def dense(counts: Tensor, indices: Tensor) -> Tensor:
    """bool [B, T', S'] of which blocks are listed."""
    listed = torch.arange(indices.shape[-1]) < counts[..., None]
    return torch.zeros_like(indices).scatter(-1, indices.long(), listed.to(indices.dtype))[:, 0].bool()


# --- when it is chosen ---


class OnGpu:
    """What the choice looks at of a tensor."""

    device = torch.device("cuda")

    def __init__(self, *shape: int, dtype: torch.dtype) -> None:
        self.shape, self.dtype = torch.Size(shape), dtype


TWO_ROWS = torch.arange(MANY).repeat(2, 1)
LEARNED = torch.zeros(1, requires_grad=True)


@pytest.mark.parametrize(
    ("changes", "options", "kernel"),
    [
        ({}, Options(), flex),
        ({}, Options(window=9, mask=even_distance, bias=distance(4)), flex),
        ({}, Options(bias=near), flex),
        ({}, Options(softcap=3.0), flex),
        ({"dtype": torch.float32}, Options(sinks=LEARNED), flex),
        ({"k_index": InOrder(lengths=torch.zeros(2).long(), span=MANY)}, Options(causal=False), flex),
        ({"graded": False}, Options(), flex),
        ({"graded": False, "k_index": TWO_ROWS + 0}, Options(), masked),
        ({"dtype": torch.float32}, Options(), masked),
        ({"dtype": torch.float64}, Options(), masked),
        ({"queries": MANY - 1}, Options(), masked),
        ({"width": 8}, Options(), masked),
        ({"width": 320}, Options(), masked),
        ({"triton": False}, Options(), masked),
        ({}, Options(dropout=0.1), masked),
        ({}, Options(dropout=0.1, softcap=3.0), eager),
        ({}, Options(bias=lambda q, k: LEARNED * (q - k)[:, None]), masked),
        ({}, Options(bias=lambda q, k: torch.zeros(2, 4, 1, 1) * (q - k)[:, None]), masked),
        ({}, Options(mask=lambda q, k: k < torch.tensor([3, 5])[:, None, None]), masked),
    ],
)
def test_it_is_chosen_on_a_gpu_for_many_queries_where_it_has_every_option(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], options: Options, kernel: Any
) -> None:
    told = SimpleNamespace(
        **{"dtype": torch.bfloat16, "queries": MANY, "width": 64, "k_index": None, "graded": True, "triton": True}
        | changes
    )
    monkeypatch.setattr(flex_file, "HAS_TRITON", told.triton)
    q: Any = OnGpu(2, told.queries, 4, told.width, dtype=told.dtype)
    v: Any = OnGpu(2, told.queries, 2, told.width, dtype=told.dtype)
    places = Places(q_index=TWO_ROWS, k_index=TWO_ROWS if told.k_index is None else told.k_index, padded=True)
    with torch.set_grad_enabled(told.graded):
        assert choose(q, v, places, options)[0] is kernel


def test_it_is_not_chosen_again_where_it_could_not_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flex_file, "HAS_TRITON", True)
    x: Any = OnGpu(1, MANY, 2, 64, dtype=torch.bfloat16)
    places = Places(q_index=TWO_ROWS, k_index=TWO_ROWS, padded=True)
    refused = {(flex_file._kind(x, x, places, Options()), x.shape, x.shape)}
    monkeypatch.setattr(flex_file, "_refused", refused)
    assert choose(x, x, places, Options())[0] is masked
    assert choose(x, x, places, Options(window=3))[0] is flex


# --- on a GPU ---

CLOSE = {torch.float32: 1e-4, torch.bfloat16: 5e-2}


def on_the_gpu(drawn: Scene, dtype: torch.dtype, width: int, exactly: bool) -> Scene:
    """The same places and options with wide heads; `exactly`: of the same numbers in float64."""
    random = torch.Generator().manual_seed(0)

    def there(x: Tensor, size: tuple[int, ...]) -> Tensor:
        made = torch.randn(size, generator=random).to("cuda", dtype)
        return (made.double() if exactly else made).requires_grad_()

    places, sinks = drawn.places, drawn.options.sinks
    q_index = places.q_index.cuda()
    return Scene(
        *(there(each, (*each.shape[:3], width)) for each in (drawn.q, drawn.k, drawn.v)),
        places=replace(
            places,
            q_index=q_index,
            k_index=q_index if places.k_index is places.q_index else places.index().cuda(),
            documents=None if places.documents is None else places.documents.cuda(),
        ),
        options=replace(drawn.options, scale=None, sinks=None if sinks is None else there(sinks, sinks.shape)),
    )


@on_gpu
@settings(law, max_examples=6)
@given(scenes(longest=300), st.sampled_from(list(CLOSE)), st.sampled_from([64, 80]))
def test_on_a_gpu_flex_is_the_reference_gradients_too(drawn: Scene, dtype: torch.dtype, width: int) -> None:
    found, exact = (on_the_gpu(drawn, dtype, width, exactly) for exactly in (False, True))
    for each, expected in zip(found.by(flex), exact.by(eager), strict=True):
        largest = expected.abs().max().clamp(min=1)
        torch.testing.assert_close(each.double() / largest, expected / largest, rtol=CLOSE[dtype], atol=CLOSE[dtype])
    assert not flex_file._refused, "it was compiled"
