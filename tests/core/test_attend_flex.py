"""FlexAttention: what it is told is what the reference sees, what is worked out once a step, when it is chosen, and on
a GPU that what is compiled computes what the reference computes."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.aot_autograd import make_boxed_func
from torch.nn.attention import flex_attention as torchs

from llm_build.attend import InOrder, Options, Places, Relation, eager, flex, masked, visible
from llm_build.attend.dispatch import choose
from llm_build.attend.flex import MANY
from tests.laws import law
from tests.processes import python

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
# the package offers the function under the name of its file
flex_file, blocks_file = (sys.modules[f"llm_build.attend.{name}"] for name in ("flex", "_blocks"))
SMALL = 4
COMPILE = torch.compile


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


# --- what is kept of a step ---


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """What blocks were worked out for."""
    asked: list[Options] = []
    work_out = blocks_file._made_of

    def noted(places: Places, options: Options, *seen: Any) -> Any:
        asked.append(options)
        return work_out(places, options, *seen)

    monkeypatch.setattr(blocks_file, "_made_of", noted)
    return asked


def mask_of(places: Places, options: Options) -> Any:
    whole = flex_file._whole(places)
    return blocks_file.block_mask(places, whole, options, flex_file._seen(whole, options))


def packed(length: int = 128) -> Places:
    index = torch.arange(length)[None]
    return Places(q_index=index, k_index=index, documents=index // 50)


def test_layers_of_a_step_that_ask_the_same_share_their_blocks(made: list[Options]) -> None:
    places = packed()
    for _ in range(3):
        for window in (None, 9):
            mask_of(places, Options(window=window))
    assert [each.window for each in made] == [None, 9]
    mask_of(replace(places, documents=None), Options())
    mask_of(packed(), Options())
    assert len(made) == 4


def test_blocks_of_what_was_written_over_are_worked_out_again(made: list[Options]) -> None:
    places = packed()
    mask_of(places, Options())
    assert places.documents is not None
    places.documents.zero_()
    mask_of(places, Options())
    mask_of(places, Options())
    assert len(made) == 2


@pytest.mark.parametrize("length", [128, 100])
def test_nothing_is_kept_of_a_step_that_is_over(length: int) -> None:
    gc.collect()
    before = len(blocks_file._made)
    places = packed(length)
    mask = mask_of(places, Options())
    assert len(blocks_file._made) == before + 1
    del places, mask
    gc.collect()
    assert len(blocks_file._made) == before


# --- what is compiled ---


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many graphs were compiled: torch traces as for a GPU, and runs what it traced as it is."""
    graphs: list[int] = []
    compile_ = torch.compile

    def backend(graph: Any, _inputs: Any) -> Any:
        graphs.append(len(graph.graph.nodes))
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda function, **told: compile_(function, backend=backend, **told))
    monkeypatch.setattr(flex_file, "_compiled", {})
    monkeypatch.setattr(flex_file, "_refused", set())
    yield graphs
    torch._dynamo.reset()


class Blockwise:
    """A mask that belongs to a part of a model."""

    def __init__(self, size: int) -> None:
        self.size = size

    def allowed(self, q: Tensor, k: Tensor) -> Tensor:
        return q // self.size == k // self.size


def long(mask: Relation | None = None, bias: Relation | None = None, length: int = 140) -> Scene:
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, length, heads, 16) for heads in (4, 2, 2))
    return Scene(q, k, v, packed(length), Options(mask=mask, bias=bias))


@torch.no_grad()
def test_layers_and_steps_of_a_kind_are_compiled_once_for_lengths_that_fill_as_many_blocks(
    compilations: list[int],
) -> None:
    for length in (140, 150):
        for _layer in range(2):
            scene = long(Blockwise(7).allowed, distance(4), length)
            expected = eager(scene.q, scene.k, scene.v, scene.places, scene.options)
            torch.testing.assert_close(flex(scene.q, scene.k, scene.v, scene.places, scene.options), expected)
    assert len(compilations) == 1


@torch.no_grad()
def test_beyond_so_many_sizes_of_a_kind_others_attend_without_flex_and_the_first_with_it(
    compilations: list[int],
) -> None:
    with torch._dynamo.config.patch(recompile_limit=1):
        for length, mask in ((140, None), (300, None), (140, None), (140, even_distance)):
            scene = long(mask, length=length)
            expected = eager(scene.q, scene.k, scene.v, scene.places, scene.options)
            torch.testing.assert_close(flex(scene.q, scene.k, scene.v, scene.places, scene.options), expected)
    assert len(compilations) == 2
    assert [q[1] for _kind, q, _v in flex_file._refused] == [300]


@torch.no_grad()
def test_in_a_compiled_model_it_is_part_of_the_one_graph(compilations: list[int]) -> None:
    scene = long(even_distance, distance(4))
    compiled = torch.compile(lambda q, k, v, places: flex(q, k, v, places, scene.options), fullgraph=True)
    expected = eager(scene.q, scene.k, scene.v, scene.places, scene.options)
    torch.testing.assert_close(compiled(scene.q, scene.k, scene.v, scene.places), expected)
    assert len(compilations) == 1


def untraceable(q: Tensor, k: Tensor) -> Tensor:
    torch._dynamo.graph_break()
    return even_distance(q, k)


@pytest.mark.parametrize("reason", ["cannot be traced", "switched off"])
@torch.no_grad()
def test_what_cannot_be_compiled_is_attended_without_flex_and_a_line_says_so_once(
    compilations: list[int], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    scene = long(untraceable if reason == "cannot be traced" else even_distance)
    with torch.compiler.set_stance("force_eager" if reason == "switched off" else "default"):
        found = flex(scene.q, scene.k, scene.v, scene.places, scene.options)
    expected = eager(scene.q, scene.k, scene.v, scene.places, scene.options)
    torch.testing.assert_close(found, expected)
    (line,) = (each for each in caplog.records if each.name == "llm_build.attend")
    assert line.levelno == logging.WARNING
    assert "masked attends instead of flex" in line.getMessage()
    kind = flex_file._kind(scene.q, scene.v, scene.places, scene.options)
    assert (kind, scene.q.shape, scene.v.shape) in flex_file._refused


def test_what_has_no_gradients_is_refused_before_it_runs(
    compilations: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_graph: Any, _inputs: Any) -> Any:
        raise RuntimeError("no tile fits")

    backend = aot_autograd(fw_compiler=lambda graph, _: make_boxed_func(graph), bw_compiler=refuse)
    monkeypatch.setattr(torchs, "_validate_device", lambda *_: None)
    monkeypatch.setattr(flex_file, "_kernel", lambda _kind: COMPILE(flex_file._traced, backend=backend, fullgraph=True))
    scene = long()
    for each in (scene.q, scene.k, scene.v):
        each.requires_grad_()
    for found, expected in zip(scene.by(flex), scene.by(eager), strict=True):
        torch.testing.assert_close(found, expected)
    assert "masked attends instead of flex, which torch could not compile: no tile fits" in caplog.text
    assert not compilations


def test_nobody_waits_for_a_compiler_who_does_not_attend_on_a_gpu() -> None:
    program = """
import sys, torch
from llm_build.attend import Options, Places, attend
x, place = torch.zeros(1, 128, 1, 16), torch.zeros(1, 128).long()
attend(x, x, x, Places(q_index=place, k_index=place, documents=place), Options(window=3))
print([each for each in ("torch._dynamo", "torch.nn.attention.flex_attention") if each in sys.modules])
"""
    assert python(program) == "[]\n"


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

CLOSE = {torch.float32: 3e-5, torch.bfloat16: 4e-2}


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
