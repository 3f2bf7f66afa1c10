"""Products of few rows: what they are, when they are taken, and that a compiler sees them whole."""

from __future__ import annotations

import copy
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

from llm_build import Context, build
from llm_build_plugins import _thin, ffn
from llm_build_plugins._thin import fits, product, thin_products, thinned
from llm_build_plugins.ffn import _rows
from llm_build_plugins.quantize._linear import Int8Linear
from tests.laws import law

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
PLACE = "cuda" if torch.cuda.is_available() else "cpu"
"""The operator has a plain form for the CPU, to be compared and compiled with."""
BF16 = torch.bfloat16


@pytest.fixture
def anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take thin products on the CPU, too."""
    monkeypatch.setattr(_thin, "DEVICES", ("cpu", "cuda"))


@attrs.frozen(eq=False)
class Drawn:
    """x [R, I], and weight [O, I], bias [O] and scale [O], or those of a bank [X, …] with owner [R]."""

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    scale: Tensor | None
    owner: Tensor | None


@st.composite
def products(draw: st.DrawFn) -> Drawn:
    """Sizes that fill no tile and such that do; rows that lie apart, or all in one place."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    outputs, inputs = draw(st.integers(1, 70)), draw(st.integers(1, 300) | st.sampled_from([512, 1_024, 2_304]))
    rows, bank = draw(st.integers(1, 20)), draw(st.sampled_from([(), (), (5,)]))
    dtype = draw(st.sampled_from([torch.bfloat16, torch.float16]))
    weight = torch.randn(*bank, outputs, inputs).to(dtype)
    if narrow := draw(st.booleans()):
        weight = torch.randint(-127, 128, weight.shape, dtype=torch.int8)
    apart = torch.randn(rows, 2 * inputs).to(dtype)[:, :inputs]
    made = Drawn(
        x=draw(st.sampled_from([apart, apart.contiguous(), apart[:1].expand(rows, -1), apart.T.contiguous().T])),
        weight=weight,
        bias=torch.randn(*bank, outputs).to(dtype) if draw(st.booleans()) else None,
        scale=torch.rand(*bank, outputs) / 64 if narrow else None,
        owner=torch.randint(5, (rows,)) if bank else None,
    )
    return Drawn(*(None if each is None else each.to(PLACE) for each in attrs.astuple(made)))


@law
@given(products())
def test_a_product_is_the_rows_times_the_matrices_of_their_owners(drawn: Drawn) -> None:
    y = product(drawn.x, drawn.weight, drawn.bias, scale=drawn.scale, owner=drawn.owner)
    weight, bias, scale = (None if each is None else each.double() for each in (drawn.weight, drawn.bias, drawn.scale))
    assert weight is not None
    if drawn.owner is not None:
        weight, bias, scale = (None if each is None else each[drawn.owner] for each in (weight, bias, scale))
        assert weight is not None
    weight = weight if scale is None else weight * scale[..., None]
    matrices = weight.expand(len(drawn.x), *weight.shape[-2:])
    exact = (matrices @ drawn.x.double()[..., None])[..., 0] + (0 if bias is None else bias)
    size = (matrices.abs() @ drawn.x.double().abs()[..., None])[..., 0] + 1
    assert y.dtype == drawn.x.dtype
    assert ((y.double() - exact).abs() <= torch.finfo(y.dtype).eps * exact.abs() + 1e-5 * size).all()


def test_sums_can_be_kept_in_float32() -> None:
    x, weight = torch.randn(3, 64).to(PLACE, BF16), torch.randn(5, 64).to(PLACE, BF16)
    y = product(x, weight, dtype=torch.float32)
    torch.testing.assert_close(y, x.float() @ weight.float().T, rtol=1e-5, atol=1e-5)


def half(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=BF16)


@pytest.mark.usefixtures("anywhere")
def test_it_is_for_few_rows_in_half_precision_without_gradients() -> None:
    x, weight, bias, bank, owner = half(1, 2, 8), half(4, 8), half(4), half(3, 4, 8), torch.zeros(2, dtype=torch.int64)
    assert fits(x, weight, None)
    assert fits(x[0, 0], nn.Parameter(weight, requires_grad=False), bias)
    assert fits(x, weight.to(torch.int8), None)
    assert fits(half(_thin.FEW, 8), weight, None)
    assert fits(half(2, 8), bank, None, owner)
    assert not fits(half(_thin.FEW + 1, 8), weight, None)
    assert not fits(half(0, 8), weight, None)
    assert not fits(half(2, 7), weight, None)
    assert not fits(x.float(), weight.float(), None)
    assert not fits(x, weight.half(), None)
    assert not fits(x, half(8, 4).T, None)
    assert not fits(x, bank, None)
    assert not fits(half(3, 8), bank, None, owner)
    for each in (x, weight, bias):
        each.requires_grad_()
        assert not fits(x, weight, bias)
        with torch.no_grad():
            assert fits(x, weight, bias)
        each.requires_grad_(False)


def test_a_cpu_has_products_of_its_own() -> None:
    assert not fits(half(1, 8), half(4, 8), None)


class Elsewhere(nn.Module):
    """Somebody's block: a layer, and the function itself."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(64, 32), nn.Parameter(torch.randn(64, 32) / 8)

    def forward(self, x: Tensor) -> Tensor:
        return x + nn.functional.linear(input=self.up(x).relu(), weight=self.down)


@pytest.fixture
def block() -> nn.Module:
    torch.manual_seed(0)
    return Elsewhere().to(PLACE, BF16)


@pytest.mark.usefixtures("anywhere")
@torch.no_grad()
def test_within_the_mode_linear_maps_of_few_rows_are_thin(block: nn.Module) -> None:
    def taken(x: Tensor, module: nn.Module = block) -> int:
        expected = module(x)
        with torch.profiler.profile() as profile, thin_products():
            torch.testing.assert_close(module(x), expected, rtol=0.02, atol=0.02)
        return sum(each.name in ("llm_build::thin_product", "_sum", "_dot") for each in profile.events())

    x = half(2, 1, 64).to(PLACE)
    assert taken(x) == 2
    assert taken(half(_thin.FEW + 1, 64).to(PLACE)) == 0
    assert taken(x.float(), copy.deepcopy(block).float()) == 0
    with torch.autocast(PLACE, dtype=BF16):
        assert taken(x) == 0


MOE = ffn.moe(
    experts=6,
    router=ffn.softmax_topk(k=3, bias=True),
    expert=ffn.swiglu(hidden=11, bias=True),
    shared=ffn.mlp(hidden=5),
)


def gathering(*_: Any) -> tuple[Any, str, bool]:
    return _rows.gathered, "a test says so", False


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("positions", [1, _thin.FEW + 1])
def test_compiled_blocks_share_one_graph_of_thin_products(
    block: nn.Module, positions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_rows, "choose", gathering)
    torch._dynamo.reset()
    inner = CompileCounterWithBackend("aot_eager")
    sparse = build(MOE, context=Context(dim=64), device=PLACE, dtype=BF16).eval()
    blocks = [copy.deepcopy(nn.Sequential(block, sparse)) for _ in range(2)]

    def backend(made: torch.fx.GraphModule, given: Any) -> Any:
        return inner(thinned(made), given)

    compiled = [torch.compile(each, backend=backend, fullgraph=True) for each in blocks]
    x = half(1, positions, 64).to(PLACE)
    with torch.no_grad():
        expected = blocks[1](blocks[0](x))
        for _ in range(3):
            found = compiled[1](compiled[0](x))
            torch.testing.assert_close(found, expected, rtol=0.05, atol=0.02 * float(expected.abs().max()))
    torch._dynamo.reset()
    (graph,) = inner.graphs
    linears, bank, router = (4, 2, 1) if positions == 1 else (0, 2, 0)
    assert graph.code.count("llm_build.thin_product") == linears + bank + router


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("positions", [1, 5])
@torch.no_grad()
def test_a_mixture_that_reads_the_chosen_matrices_alone_is_the_same(
    positions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = build(MOE, context=Context(dim=24), device=PLACE).eval()
    for each in module.parameters():
        each.mul_(3)
    x = half(1, positions, 24).to(PLACE)
    expected = copy.deepcopy(module.bfloat16()).float()(x.float())
    monkeypatch.setattr(_rows, "choose", gathering)
    torch.testing.assert_close(module(x).float(), expected, rtol=0.05, atol=0.02 * float(expected.abs().max()))


@GPU
@torch.no_grad()
def test_products_are_recorded_in_a_graph_and_replayed_with_what_is_new() -> None:
    made = Int8Linear.of(half(40, 72).cuda(), None)
    bank, owner = half(4, 40, 72).cuda(), torch.zeros(2, dtype=torch.int64, device="cuda")
    x, weight = half(2, 72).cuda(), nn.Parameter(half(40, 72).cuda())

    def step() -> list[Any]:
        return [product(x[:1], weight), product(x, weight), product(x, bank, owner=owner), made(x)]

    step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = step()
    x.copy_(half(2, 72))
    weight.copy_(half(40, 72))
    owner.copy_(torch.tensor([3, 1]))
    graph.replay()
    torch.testing.assert_close(recorded, step(), rtol=0, atol=0)
    torch.testing.assert_close(recorded[1], nn.functional.linear(x, weight), rtol=0.02, atol=0.02)
