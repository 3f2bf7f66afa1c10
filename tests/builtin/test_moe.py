"""The mixture of experts against one position and one expert at a time."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from unittest import mock

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter
from torch.func import functional_call

from llm_build import VECTOR, Batch, Config, Context, ParameterGroup, build, component, parameter_groups
from llm_build_plugins import attention, ffn, model, norm, train
from llm_build_plugins.ffn import _rows
from tests.builtin.strategies import moes, plain_ffns, random_tokens
from tests.laws import law

smooth = plain_ffns.filter(lambda each: getattr(each, "activation", None) != ffn.relu())
"""A relu may be 0 for all that it sees."""
CLOSE = {"rtol": 1e-12, "atol": 1e-12}
WAYS = [_rows.sliced, _rows.blocked, _rows.gathered]
"""Those that take float64."""


@component("ffn:scaled", module="tests.builtin.test_moe:Scaled")
class scaled(Config):
    """Somebody's ffn, which knows nothing of experts. It has a price."""


class Scaled(nn.Module):
    def __init__(self, config: scaled, context: Context) -> None:
        super().__init__()
        assert context.experts is None
        self.scale = nn.Parameter(torch.rand(context.need("dim")))

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return x.tanh() * self.scale, {"price": self.scale.sum()}


@component("activation:leaky", module="tests.builtin.test_moe:Leaky")
class leaky(Config):
    """Somebody's activation, which has weights of its own."""


class Leaky(nn.PReLU):
    def __init__(self, config: leaky, context: Context) -> None:
        super().__init__()
        nn.init.uniform_(self.weight)


def made(config: Config, dim: int = 6, dtype: torch.dtype = torch.float64, seed: int = 0, **context: Any) -> Any:
    return build(config, context=Context(dim=dim, **context), dtype=dtype, seed=seed)


def outputs(returned: Any) -> Tensor:
    out: Tensor = returned[0] if isinstance(returned, tuple) else returned
    return out


def by_hand(module: Any, config: Any, x: Tensor) -> Tensor:
    """x [N, D] → [N, D]: each position by itself, each of its experts a plain module with its part of the weights."""
    weights, chosen, _ = module.router(x)
    rows = []
    for position, own, experts in zip(x, weights, chosen.tolist(), strict=True):
        row = sum(weight * one(module, config, expert, position) for weight, expert in zip(own, experts, strict=True))
        rows.append(row if module.shared is None else row + outputs(module.shared(position)))
    return torch.stack(rows)


def one(module: Any, config: Any, expert: int, x: Tensor) -> Tensor:
    """x [D] → [D], by one expert."""
    if not module.grouped:
        return outputs(module.experts[expert](x))
    plain = made(config.expert, len(x))
    return outputs(functional_call(plain, {name: each[expert] for name, each in module.experts.named_parameters()}, x))


def gradients(out: Tensor, module: nn.Module, x: Tensor) -> list[Tensor]:
    """Of a fixed sum of the outputs, to x and to every weight."""
    factors = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    return list(torch.autograd.grad((out * factors).sum(), [x, *module.parameters()], materialize_grads=True))


def inputs(positions: int, dim: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(positions, dim, dtype=dtype, generator=chance, requires_grad=True)


def forced(way: Any) -> Any:
    """Take one way, whatever the device."""

    def choose(*_: Any) -> tuple[Any, str, bool]:  # torch.compile traces no Mock
        return way, "a test says so", False

    return mock.patch.object(_rows, "choose", choose)


def holds(config: Config, positions: int, dim: int, seed: int) -> None:
    """Outputs and gradients are those of one position and one expert at a time, whichever way is taken."""
    module, x = made(config, dim, seed=seed), inputs(positions, dim, seed)
    expected = by_hand(module, config, x)
    wanted = gradients(expected, module, x)
    for way in WAYS:
        with forced(way):
            out = outputs(module(x))
        torch.testing.assert_close(out, expected, **CLOSE)
        torch.testing.assert_close(gradients(out, module, x), wanted, **CLOSE)


@law
@given(moes(), st.integers(1, 9), st.integers(1, 7), st.integers(0, 99))
def test_it_is_one_position_and_one_expert_at_a_time(config: Config, positions: int, dim: int, seed: int) -> None:
    holds(config, positions, dim, seed)


@pytest.mark.parametrize("expert", [ffn.swiglu, ffn.geglu, ffn.mlp])
@pytest.mark.parametrize("router", [ffn.topk_softmax(k=3, bias=True), ffn.softmax_topk(k=5)], ids=["three", "five"])
def test_it_is_so_with_many_experts_and_positions(expert: Any, router: Config) -> None:
    config = ffn.moe(experts=7, router=router, expert=expert(hidden=11, bias=True))
    holds(config, positions=40, dim=9, seed=2)


@law
@given(moes(), st.integers(1, 9), st.integers(1, 20))
def test_the_kernel_for_all_experts_at_once_is_the_same(config: Config, positions: int, dim: int) -> None:
    # it takes no float64
    module, x = made(config, dim, torch.float32), inputs(positions, dim, dtype=torch.float32)
    with forced(_rows.grouped):
        out = outputs(module(x))
    expected = outputs(module(x))
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradients(out, module, x), gradients(expected, module, x), rtol=1e-3, atol=1e-4)


@law
@given(moes(), st.sampled_from(WAYS), st.integers(1, 3), st.integers(1, 4))
def test_rows_and_positions_are_independent(config: Config, way: Any, rows: int, length: int) -> None:
    module, x = made(config).eval(), inputs(rows * length, 6).view(rows, length, 6)
    with forced(way):
        out = module(x)
        assert out.shape == x.shape
        for row in range(rows):
            torch.testing.assert_close(module(x[row : row + 1])[0], out[row], **CLOSE)


@law
@given(st.data(), st.integers(2, 6), smooth, st.sampled_from([*WAYS, _rows.grouped]), st.integers(1, 9))
def test_an_expert_without_positions_gets_a_gradient_of_exactly_zero(
    data: st.DataObject, experts: int, expert: Config, way: Any, positions: int
) -> None:
    k = data.draw(st.integers(1, experts - 1))
    liked = sorted(data.draw(st.permutations(range(experts)))[:k])
    dtype = torch.float32 if way is _rows.grouped else torch.float64
    module = made(ffn.moe(experts=experts, router=ffn.topk_softmax(k=k, bias=True), expert=expert), dtype=dtype)
    with torch.no_grad():
        module.router.linear.bias[liked] += 1_000.0
    with forced(way):
        module(inputs(positions, 6, dtype=dtype)).square().sum().backward()
    for weight in module.experts.parameters():
        assert weight.grad is not None
        used = [bool((weight.grad[each] != 0).any()) for each in range(experts)]
        assert not any(used[each] for each in range(experts) if each not in liked)
    last = module.experts.down.weight.grad
    assert [each for each in range(experts) if (last[each] != 0).any()] == liked


def test_a_shared_expert_is_added_as_it_is() -> None:
    config = ffn.moe(experts=3, router=ffn.topk_softmax(k=2), expert=ffn.swiglu(hidden=4), shared=ffn.geglu(hidden=5))
    module, x = made(config), inputs(4, 6)
    without = made(attrs.evolve(config, shared=None))
    without.load_state_dict({name: each for name, each in module.state_dict().items() if not name.startswith("shared")})
    torch.testing.assert_close(module(x), without(x) + module.shared(x), **CLOSE)


@pytest.mark.parametrize(
    "expert",
    [
        scaled(),
        ffn.moe(experts=2, router=ffn.topk_softmax(k=1), expert=ffn.swiglu(hidden=3), shared=scaled()),
        ffn.mlp(hidden=5, activation=leaky()),
    ],
    ids=["somebody's ffn", "a moe", "somebody's activation"],
)
@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3)], ids=str)
def test_an_ffn_that_cannot_be_a_bank_is_built_once_an_expert(expert: Config, shape: tuple[int, ...]) -> None:
    config = ffn.moe(experts=3, router=ffn.softmax_topk(k=2), expert=expert)
    module, x = made(config), inputs(torch.Size(shape).numel(), 6)
    assert isinstance(module.experts, nn.ModuleList)
    assert len({each.data_ptr() for each in module.parameters()}) == len(list(module.parameters()))
    out, expected = outputs(module(x.view(*shape, 6))), by_hand(module, config, x)
    torch.testing.assert_close(out, expected.view(*shape, 6), **CLOSE)
    torch.testing.assert_close(gradients(out.flatten(0, -2), module, x), gradients(expected, module, x), **CLOSE)


def test_losses_of_the_router_and_of_every_expert_travel_upwards_added_by_name() -> None:
    inner = ffn.moe(experts=2, router=ffn.topk_softmax(k=1, balance=0.1), expert=ffn.swiglu(hidden=3))
    config = ffn.moe(experts=3, router=ffn.topk_softmax(k=2, balance=0.2), expert=inner, shared=scaled())
    module, x = made(config), inputs(5, 6).view(1, 5, 6)
    _, losses = module(x)
    balances = [module.router(x[0])[2], *(each.router(x[0])[2] for each in module.experts)]
    torch.testing.assert_close(losses["balance"], sum(each["balance"] for each in balances))
    torch.testing.assert_close(losses["price"], module.shared.scale.sum())
    assert set(losses) == {"balance", "price"}


MOE = ffn.moe(
    experts=4,
    router=ffn.topk_softmax(k=2, bias=True, balance=0.1),
    expert=ffn.swiglu(hidden=6, bias=True),
    shared=ffn.mlp(hidden=3),
)
DECODER = model.decoder(
    dim=8, vocab=11, context=16, norm=norm.rms(), layers=2 * model.block(attention=attention.mha(heads=2), ffn=MOE)
)


def test_a_decoder_hands_the_balance_of_all_layers_to_the_objective() -> None:
    decoder, tokens = build(DECODER, dtype=torch.float64), random_tokens(2, 7, 0)
    single: list[Tensor] = []
    for layer in decoder.layers:
        layer.register_forward_hook(lambda _module, _inputs, fed: single.append(fed[1].get("balance")))
    _, losses = decoder.hidden(tokens)
    torch.testing.assert_close(losses["balance"], single[0] + single[1])
    assert losses["balance"] >= 0.2 * 0.9
    batch = Batch(tokens=tokens[:, :-1], targets=tokens[:, 1:])
    total, parts = build(train.next_token()).loss(decoder, batch)
    torch.testing.assert_close(total, parts["nll"] + parts["balance"])
    assert decoder.eval().hidden(tokens)[1] == {}


def test_its_weights_have_readable_names() -> None:
    named = dict(build(DECODER, device="meta").named_parameters())
    assert {
        name.removeprefix("layers.0.ffn."): tuple(each.shape) for name, each in named.items() if ".0.ffn." in name
    } == {
        "router.linear.weight": (4, 8),
        "router.linear.bias": (4,),
        "experts.gate_up.weight": (4, 12, 8),
        "experts.gate_up.bias": (4, 12),
        "experts.down.weight": (4, 8, 6),
        "experts.down.bias": (4, 8),
        "shared.up.weight": (3, 8),
        "shared.down.weight": (8, 3),
    }


def test_a_bank_decays_by_its_matrices_alone() -> None:
    groups = parameter_groups(made(MOE, 8))
    assert {tuple(each.shape) for each in groups[VECTOR]} == {(4,), (4, 12), (4, 8)}
    assert (4, 12, 8) in {tuple(each.shape) for each in groups[ParameterGroup()]}


def test_a_bank_is_drawn_like_any_other_linear_map() -> None:
    wide = attrs.evolve(MOE, expert=ffn.swiglu(hidden=64, bias=True))
    block = model.block(attention=attention.mha(heads=2), ffn=wide)
    decoder = build(attrs.evolve(DECODER, dim=64, layers=2 * block, initialiser=model.normal(std=0.5)))
    bank = decoder.layers[1].ffn.experts
    for expert in range(4):
        assert float(bank.gate_up.weight[expert].std().detach()) == pytest.approx(0.5, rel=0.05)
        assert float(bank.down.weight[expert].std().detach()) == pytest.approx(0.5 / 2, rel=0.05)
    assert (bank.gate_up.bias == 0).all()
    assert (bank.down.bias == 0).all()


def test_experts_begin_unlike_each_other() -> None:
    bank = made(MOE, 8).experts
    assert not torch.equal(bank.gate_up.weight[0], bank.gate_up.weight[1])
    plain = made(MOE.expert, 8)
    for ours, theirs in zip(bank.parameters(), plain.parameters(), strict=True):
        assert 0.7 < float(ours.detach().abs().max() / theirs.detach().abs().max()) < 1.5


@pytest.fixture
def forget_graphs() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("forget_graphs")
def test_training_is_one_graph_wherever_positions_go() -> None:
    decoder, counter = build(DECODER, dtype=torch.float64), CompileCounter()
    compiled = torch.compile(decoder, fullgraph=True, backend=counter)
    for seed in range(3):
        tokens = random_tokens(2, 7, seed)
        found, expected = (
            torch.autograd.grad(each(tokens).square().sum(), list(decoder.parameters())) for each in (compiled, decoder)
        )
        torch.testing.assert_close(compiled(tokens), decoder(tokens), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert counter.frame_count == 1


@pytest.mark.usefixtures("forget_graphs")
@pytest.mark.parametrize(("way", "dtype"), [(_rows.blocked, torch.float64), (_rows.grouped, torch.bfloat16)])
def test_one_graph_is_enough_for_any_number_of_positions(way: Any, dtype: torch.dtype) -> None:
    module, counter = made(MOE, 8, dtype), CompileCounter()
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend=counter)
    with forced(way):
        for positions in (3, 5, 30):
            x = inputs(positions, 8, dtype=dtype)
            (found, _), (expected, _) = compiled(x), module(x)
            torch.testing.assert_close(found, expected)
        assert counter.frame_count == 1
        torch.testing.assert_close(compiled(x[:1])[0], expected[:1])


@pytest.mark.parametrize("way", [_rows.blocked, _rows.grouped])
@pytest.mark.parametrize("positions", [1, 2, 30])
def test_sizes_never_rest_on_the_data(way: Any, positions: int) -> None:
    # there is no data on the meta device, so nothing could be looked at
    module = build(MOE, context=Context(dim=8), dtype=torch.bfloat16, device="meta")
    x = torch.empty(positions, 8, dtype=torch.bfloat16, device="meta", requires_grad=True)
    with forced(way):
        out, losses = module(x)
        (out.sum() + losses["balance"]).backward()
    assert out.shape == x.shape
    assert {each.grad.device.type for each in module.parameters()} == {"meta"}


@pytest.mark.parametrize("way", [_rows.sliced, _rows.blocked, _rows.grouped])
def test_autocast_narrows_the_products_and_not_the_routes(way: Any) -> None:
    module, x = made(MOE, 8, torch.float32), inputs(20, 8, dtype=torch.float32)
    with forced(way):
        wide, _ = module(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out, _ = module(x)
            narrow = [_rows.arithmetic(each) for each in (x, x.double())]
    assert narrow == [torch.bfloat16, torch.float64]
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), wide, rtol=0.05, atol=0.05)
    assert not torch.equal(out.float(), wide)
    assert {each.dtype for each in gradients(out, module, x)} == {torch.float32}


@pytest.mark.parametrize(
    ("rows", "experts", "device", "dtype", "way", "slow"),
    [
        (8, 8, "cpu", torch.float32, _rows.sliced, False),
        (8, 8, "cuda", torch.bfloat16, _rows.grouped, False),
        (4, 8, "cuda", torch.bfloat16, _rows.blocked, False),
        (8, 8, "cuda", torch.float32, _rows.blocked, True),
        (8, 8, "cuda", torch.float16, _rows.blocked, True),
        (9_999, 2_000, "cuda", torch.bfloat16, _rows.blocked, True),
        (8, 8, "meta", torch.float32, _rows.single, False),
    ],
)
def test_which_way_is_taken(rows: int, experts: int, device: str, dtype: torch.dtype, way: Any, slow: bool) -> None:
    with mock.patch.object(_rows, "_has_grouped_mm", return_value=True):
        found, _, found_slow = _rows.choose(rows, experts, torch.device(device), dtype)
    assert (found, found_slow) == (way, slow)


def test_few_rows_without_gradients_copy_no_matrix() -> None:
    def way(rows: int, device: str, dtype: torch.dtype) -> Any:
        return _rows.choose(rows, 8, torch.device(device), dtype)[0]

    assert way(4, "cuda", torch.float16) is _rows.blocked
    with torch.no_grad():
        assert way(4, "cuda", torch.float16) is way(4, "cuda", torch.bfloat16) is _rows.gathered
        assert way(4, "cuda", torch.float32) is way(99, "cuda", torch.float16) is _rows.blocked
        assert way(4, "cpu", torch.bfloat16) is _rows.sliced


def test_a_gpu_without_the_kernel_takes_the_blocked_way() -> None:
    with mock.patch.object(_rows, "_has_grouped_mm", return_value=False):
        way, why, slow = _rows.choose(8, 8, torch.device("cuda"), torch.bfloat16)
    assert (way, slow) == (_rows.blocked, True)
    assert "compute capability" in why


def test_a_slow_way_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    _rows._report_once.cache_clear()
    with caplog.at_level(logging.INFO, "llm_build.moe"):
        for _ in range(2):
            _rows.report("blocked", "a test says so", True)
            _rows.report("sliced", "a test says so", False)
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("WARNING", "experts take the slow blocked way, up to twice the products: a test says so"),
        ("INFO", "experts take the sliced way: a test says so"),
    ]


@law
@given(st.integers(1, 40), st.integers(1, 9), st.data())
def test_blocks_hold_every_choice_once_with_its_own_expert(positions: int, experts: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, experts))
    choices = [data.draw(st.permutations(range(experts)))[:k] for _ in range(positions)]
    rows = _rows.blocked(torch.tensor(choices), experts)
    owner = rows.groups.owner.repeat_interleave(len(rows.choice) // len(rows.groups.owner))
    assert len(rows.choice) <= 2 * positions * k
    assert owner[rows.place].tolist() == [expert for each in choices for expert in each]
    assert rows.choice[rows.place].tolist() == list(range(positions * k))
    nobodys = torch.ones(len(rows.choice), dtype=torch.bool)
    nobodys[rows.place] = False
    assert (rows.choice[nobodys] == positions * k).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("positions", [1, 300])
@pytest.mark.parametrize("hidden", [16, 13])
def test_a_gpu_is_never_waited_for_and_agrees_with_the_cpu(dtype: torch.dtype, positions: int, hidden: int) -> None:
    config = attrs.evolve(MOE, expert=ffn.swiglu(hidden=hidden, bias=True))
    here = made(config, 24, torch.float64 if dtype == torch.float64 else torch.float32)
    with torch.no_grad():
        here.router.linear.bias[1] = -1_000.0  # an expert without positions
    there = build(config, context=Context(dim=24), dtype=next(here.parameters()).dtype, device="cuda")
    there.load_state_dict(here.state_dict())
    x = inputs(positions, 24, dtype=next(here.parameters()).dtype)
    y = x.detach().cuda().requires_grad_()
    autocast = torch.autocast("cuda", dtype=dtype) if dtype == torch.bfloat16 else nullcontext()
    for mode in ("default", "error"):  # the first round may set up the libraries
        torch.cuda.set_sync_debug_mode(mode)
        try:
            there.zero_grad()
            with autocast:
                found, _ = there(y)
            found.to(x.dtype).square().sum().backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    expected, _ = here(x)
    expected.square().sum().backward()
    bound = {torch.bfloat16: 0.05, torch.float32: 1e-4, torch.float64: 1e-10}[dtype]
    torch.testing.assert_close(found.cpu().to(expected.dtype), expected, rtol=bound, atol=bound)
    for ours, theirs in zip(there.parameters(), here.parameters(), strict=True):
        torch.testing.assert_close(
            ours.grad.cpu(), theirs.grad, rtol=bound, atol=bound * float(theirs.grad.abs().max())
        )
    assert (there.experts.gate_up.weight.grad[1] == 0).all()


def test_a_moe_of_one_expert_is_that_expert() -> None:
    config = ffn.moe(experts=1, router=ffn.topk_softmax(k=1), expert=ffn.mlp(hidden=5, bias=True))
    module, x = made(config), inputs(4, 6)
    torch.testing.assert_close(module(x), by_hand(module, config, x), **CLOSE)
    assert re.search(r"experts=1, in_features=6, out_features=5, bias=True", repr(module))
