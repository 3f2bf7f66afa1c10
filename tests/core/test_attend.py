"""The dispatcher and its kernels: SDPA, however it is called, agrees with the reference, which is the mathematics."""

from __future__ import annotations

import logging
import sys
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from llm_build.attend import Choice, Options, Places, Relation, attend, dispatch, eager, fused, listening, masked
from llm_build.attend.dispatch import choose
from tests.core.flexing import even_distance
from tests.laws import law

# the package offers each function under the name of its file
fused_file = sys.modules["llm_build.attend.fused"]
masked_file = sys.modules["llm_build.attend.masked"]


@attrs.frozen
class Scene:
    """Queries, keys and values that want gradients, and where they stand."""

    q: Tensor
    k: Tensor
    v: Tensor
    places: Places


@st.composite
def scenes(draw: st.DrawFn, plain: bool = False) -> Scene:
    rows, queries, kv_heads = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    heads, dim, value_dim = kv_heads * draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    keys = queries if plain else draw(st.integers(1, 7))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    q, k, v = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((rows, queries, heads, dim), (rows, keys, kv_heads, dim), (rows, keys, kv_heads, value_dim))
    )
    if plain:
        place = torch.arange(queries).expand(rows, queries)
        return Scene(q, k, v, Places(q_index=place, k_index=place, plain=True))
    q_index, k_index = torch.randint(-1, 7, (rows, queries)), torch.randint(-1, 7, (rows, keys))
    return Scene(q, k, v, Places(q_index=q_index, k_index=k_index, padded=True))


def slopes(heads: int) -> Tensor:
    return -0.3 / torch.arange(1, heads + 1, dtype=torch.float64)


def distance(heads: int) -> Relation:
    """A bias that falls with the distance, more steeply for the first heads: [B, H, T, S]."""
    return lambda q, k: slopes(heads)[:, None, None] * (q - k).abs()[:, None]


@st.composite
def masked_scenes(draw: st.DrawFn) -> tuple[Scene, Options]:
    scene = draw(scenes())
    return scene, Options(
        causal=draw(st.booleans()),
        window=draw(st.none() | st.integers(1, 4)),
        scale=draw(st.none() | st.floats(0.1, 2)),
        bias=draw(st.sampled_from([None, distance(scene.q.shape[2])])),
        mask=draw(st.sampled_from([None, even_distance])),
    )


def with_gradients(kernel: Any, scene: Scene, options: Options) -> list[Tensor]:
    out = kernel(scene.q, scene.k, scene.v, scene.places, options)
    weights = torch.linspace(-1, 2, out.numel(), dtype=torch.float64).view_as(out)
    return [out, *torch.autograd.grad((out * weights).sum(), (scene.q, scene.k, scene.v))]


def assert_agree(kernel: Any, scene: Scene, options: Options) -> None:
    for found, expected in zip(
        with_gradients(kernel, scene, options), with_gradients(eager, scene, options), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@law
@given(masked_scenes())
def test_masked_agrees_with_the_reference_gradients_too(drawn: tuple[Scene, Options]) -> None:
    assert_agree(masked, *drawn)


@law
@given(scenes(plain=True), st.booleans(), st.none() | st.floats(0.1, 2))
def test_fused_agrees_with_the_reference_gradients_too(scene: Scene, causal: bool, scale: float | None) -> None:
    assert_agree(fused, scene, Options(causal=causal, scale=scale))


@law
@given(scenes(plain=True), st.booleans())
def test_fused_agrees_where_sdpa_takes_no_grouped_heads(scene: Scene, causal: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused_file, "shares_keys", lambda *_: False)
        assert_agree(fused, scene, Options(causal=causal))


@law
@given(masked_scenes())
@torch.no_grad()
def test_the_reference_is_softmax_attention(drawn: tuple[Scene, Options]) -> None:
    scene, options = drawn
    out = eager(scene.q, scene.k, scene.v, scene.places, options)
    rows, queries, heads, _dim = scene.q.shape
    group = heads // scene.k.shape[2]
    for row, query, head in torch.cartesian_prod(torch.arange(rows), torch.arange(queries), torch.arange(heads)).view(
        -1, 3
    ):
        expected = by_hand(scene, options, int(row), int(query), int(head), int(head) // group)
        torch.testing.assert_close(out[row, query, head], expected, rtol=1e-10, atol=1e-12)


def by_hand(scene: Scene, options: Options, row: int, query: int, head: int, kv_head: int) -> Tensor:
    """One query of one head, as a loop over the keys that it sees."""
    i = int(scene.places.q_index[row, query])
    total, weighted = 0.0, torch.zeros(scene.v.shape[-1], dtype=torch.float64)
    for key, j in enumerate(scene.places.k_index[row].tolist()):
        near = options.window is None or abs(i - j) < options.window
        even = options.mask is None or (i - j) % 2 == 0
        if i < 0 or j < 0 or (options.causal and j > i) or not near or not even:
            continue
        scale = scene.q.shape[-1] ** -0.5 if options.scale is None else options.scale
        score = scale * float(scene.q[row, query, head] @ scene.k[row, key, kv_head])
        score += float(slopes(head + 1)[head]) * abs(i - j) if options.bias is not None else 0
        weight = torch.tensor(score, dtype=torch.float64).exp()
        total, weighted = total + weight, weighted + weight * scene.v[row, key, kv_head]
    return weighted / total if total else weighted


@law
@given(scenes(), st.booleans(), st.sampled_from([None, 0.5]), st.sampled_from([eager, masked]))
def test_a_query_with_nothing_to_see_gives_zeros_and_no_gradient(
    scene: Scene, sinks: bool, softcap: float | None, kernel: Any
) -> None:
    blind = attrs.evolve(
        scene, places=Places(q_index=scene.places.q_index, k_index=scene.places.k_index * 0 - 1, padded=True)
    )
    extra = {"sinks": torch.zeros(scene.q.shape[2]) if sinks else None, "softcap": softcap} if kernel is eager else {}
    for each in with_gradients(kernel, blind, Options(**extra)):
        assert (each == 0).all()


def from_the_start(q: Tensor, k: Tensor) -> Tensor:
    return (q == 0) & (k >= 0)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("blinding", ["padding", "mask"])
def test_no_kernel_is_asked_for_a_query_with_nothing_to_see_and_its_answer_is_overruled(
    monkeypatch: pytest.MonkeyPatch, biased: bool, blinding: str
) -> None:
    masks: list[Tensor] = []

    def kernel(q: Tensor, *_: Tensor, attn_mask: Tensor, **__: Any) -> Tensor:
        masks.append(attn_mask > float("-inf") if biased else attn_mask)
        return torch.ones_like(q)

    monkeypatch.setattr(masked_file, "scaled_dot_product_attention", kernel)
    x, index = torch.zeros(1, 2, 1, 3), torch.tensor([[0, -1 if blinding == "padding" else 1]])
    options = Options(bias=distance(1) if biased else None, mask=from_the_start if blinding == "mask" else None)
    out = masked(x, x, x, Places(q_index=index, k_index=index, padded=blinding == "padding"), options)
    assert masks[0].any(-1).all()
    assert out[0, :, 0].tolist() == [[1, 1, 1], [0, 0, 0]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("keys", [5, 64, 96])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_on_a_gpu_a_query_with_nothing_to_see_gives_zeros_and_finite_gradients(dtype: torch.dtype, keys: int) -> None:
    q, k, v = (
        torch.randn(2, length, heads, 64, dtype=dtype, device="cuda", requires_grad=True)
        for length, heads in ((64, 4), (keys, 2), (keys, 2))
    )
    q_index, k_index = (torch.arange(length, device="cuda").repeat(2, 1) for length in (64, keys))
    q_index[0, 32:] = k_index[1] = -1
    out = masked(q, k, v, Places(q_index=q_index, k_index=k_index, padded=True), Options(causal=False))
    assert (out[0, 32:] == 0).all()
    assert (out[1] == 0).all()
    assert all(each.isfinite().all() for each in torch.autograd.grad(out.square().sum(), (q, k, v)))


def test_sinks_take_weight_and_give_nothing() -> None:
    q, k = torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 1, 4)
    places = Places(q_index=torch.zeros(1, 1).long(), k_index=torch.zeros(1, 1).long())
    out = eager(q, k, torch.ones(1, 1, 1, 4), places, Options(sinks=torch.tensor([0.0, float("-inf")])))
    torch.testing.assert_close(out[0, 0, :, 0], torch.tensor([0.5, 1.0]))


def test_softcap_bounds_the_scores() -> None:
    q, k = torch.full((1, 1, 1, 1), 100.0), torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
    places = Places(q_index=torch.ones(1, 1).long(), k_index=torch.arange(2)[None])
    out = eager(q, k, torch.tensor([1.0, 0.0]).view(1, 2, 1, 1), places, Options(softcap=0.5, scale=1))
    torch.testing.assert_close(out.squeeze(), torch.tensor(1.0).sigmoid())


def test_the_reference_computes_in_float32_for_bfloat16() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 64, 1, 8).bfloat16() for _ in range(3))
    place = torch.arange(64)[None]
    places = Places(q_index=place, k_index=place)
    exact = eager(q.double(), k.double(), v.double(), places, Options())
    torch.testing.assert_close(eager(q, k, v, places, Options()), exact.bfloat16())


@pytest.mark.parametrize("kernel", [eager, fused, masked])
def test_dropout_acts_where_it_is_passed(kernel: Any) -> None:
    torch.manual_seed(0)
    place = torch.arange(32)[None]
    places = Places(q_index=place, k_index=place, plain=True)
    v = torch.ones(1, 32, 1, 4)
    q = torch.zeros(1, 32, 1, 4)
    dropped = kernel(q, q, v, places, Options(dropout=0.5))
    assert dropped.std() > 0.1
    torch.testing.assert_close(kernel(q, q, v, places, Options()), torch.ones(1, 32, 1, 4))


@pytest.mark.parametrize("kernel", [fused, masked])
@pytest.mark.parametrize("widths", [(8, 4), (4, 8)], ids=["narrow values", "wide values"])
def test_heads_of_two_widths_take_sdpas_fused_kernel_on_a_cpu(kernel: Any, widths: tuple[int, int]) -> None:
    torch.manual_seed(0)
    place = torch.arange(16)[None]
    places = Places(q_index=place, k_index=place, plain=True)
    q, k, v = (torch.randn(1, 16, heads, width) for heads, width in ((4, widths[0]), (2, widths[0]), (2, widths[1])))
    expected = eager(q, k, v, places, Options())
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # raises where it cannot run
        torch.testing.assert_close(kernel(q, k, v, places, Options()), expected)


PLAIN = Places(q_index=torch.zeros(1, 1).long(), k_index=torch.zeros(1, 1).long(), plain=True)


@pytest.mark.parametrize(
    ("places", "options", "kernel"),
    [
        (PLAIN, Options(), fused),
        (PLAIN, Options(causal=False), fused),
        (PLAIN, Options(window=3), masked),
        (PLAIN, Options(mask=even_distance), masked),
        (PLAIN, Options(bias=distance(1)), masked),
        (PLAIN, Options(softcap=1.0), eager),
        (PLAIN, Options(sinks=torch.zeros(1)), eager),
        (Places(q_index=PLAIN.q_index, k_index=PLAIN.k_index), Options(), masked),
    ],
)
def test_the_choice_rests_on_what_is_asked(places: Places, options: Options, kernel: Any) -> None:
    x = torch.zeros(1, 1, 1, 2)
    assert choose(x, x, places, options)[0] is kernel


def test_the_choice_is_logged_once_and_a_slow_one_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    dispatch._report_once.cache_clear()
    x = torch.zeros(1, 1, 1, 2)
    with caplog.at_level(logging.INFO, "llm_build.attend"):
        for _ in range(3):
            attend(x, x, x, PLAIN, Options())
            attend(x, x, x, PLAIN, Options(softcap=1.0))
    assert [each.levelname for each in caplog.records] == ["INFO", "WARNING"]
    assert "slow eager kernel" in caplog.text
    assert "SDPA has no softcap" in caplog.text


def test_every_choice_is_told_to_who_listens_and_to_nobody_later() -> None:
    x = torch.zeros(1, 1, 1, 2)
    outer: list[Choice] = []
    inner: list[Choice] = []
    with listening(outer.append):
        attend(x, x, x, PLAIN, Options())
        with listening(inner.append):
            attend(x, x, x, PLAIN, Options(softcap=1.0))
        attend(x, x, x, PLAIN, Options())
    attend(x, x, x, PLAIN, Options())
    assert [each.kernel for each in outer] == ["fused", "fused"]
    assert inner == [Choice(kernel="eager", why="SDPA has no softcap", slow=True)]


def test_grouped_heads_never_repeat_keys_on_a_gpu_in_float32() -> None:
    class OnGpu:
        device = torch.device("cuda")
        shape = (1, 1, 1, 64)

        def __init__(self, dtype: torch.dtype) -> None:
            self.dtype = dtype

    assert fused_file.shares_keys(OnGpu(torch.bfloat16), OnGpu(torch.bfloat16))
    assert not fused_file.shares_keys(OnGpu(torch.float32), OnGpu(torch.float32))
