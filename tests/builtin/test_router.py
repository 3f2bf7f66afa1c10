"""The routers: who goes where, by which weights, and what an uneven spread costs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from llm_build import Config, Context, SpecError, build, load
from llm_build_plugins import ffn
from tests.builtin.strategies import routers
from tests.laws import law

DIM = 4
sizes = st.integers(1, 7)


def made(config: Config, experts: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.nn.Module:
    module: torch.nn.Module = build(config, context=Context(dim=DIM, experts=experts), dtype=dtype, seed=seed)
    return module


def by_hand(router: torch.nn.Module, config: Config, x: Tensor) -> tuple[list[float], list[int]]:
    """x [D] → the weights and the experts of one position, largest first."""
    logits = (router.linear.weight @ x + (router.linear.bias if config.bias else 0)).tolist()
    if isinstance(config, ffn.sigmoid_groups):
        return in_groups(config, [1 / (1 + math.exp(-each)) for each in logits], router.correction.tolist())
    chosen = sorted(range(len(logits)), key=lambda each: -logits[each])[: config.k]
    among = chosen if isinstance(config, ffn.topk_softmax) or config.normalise is True else range(len(logits))
    total = sum(math.exp(logits[each]) for each in among)
    return [math.exp(logits[each]) / total for each in chosen], chosen


def in_groups(config: Config, scores: list[float], correction: list[float]) -> tuple[list[float], list[int]]:
    """The weights and the experts by scores [X] and what corrects them, largest first."""
    preferred = [score + more for score, more in zip(scores, correction, strict=True)]
    size = len(scores) // config.groups
    groups = [range(first, first + size) for first in range(0, len(scores), size)]
    groups.sort(key=lambda group: -sum(sorted((preferred[each] for each in group), reverse=True)[:2]))
    allowed = [each for group in groups[: config.keep] for each in group]
    chosen = sorted(allowed, key=lambda each: -preferred[each])[: config.k]
    return [config.scale * scores[each] / sum(scores[each] for each in chosen) for each in chosen], chosen


@law
@given(st.data(), sizes, st.integers(1, 6), st.integers(0, 99))
def test_each_position_goes_where_its_largest_logits_are(
    data: st.DataObject, experts: int, positions: int, seed: int
) -> None:
    config = data.draw(routers(experts))
    router = made(config, experts, seed=seed)
    if isinstance(config, ffn.sigmoid_groups):
        router.correction.normal_(std=0.3)
    x = torch.randn(positions, DIM, dtype=torch.float64)
    weights, chosen, _ = router(x)
    assert weights.shape == chosen.shape == (positions, config.k)
    assert chosen.dtype == torch.int64
    for row in range(positions):
        expected, where = by_hand(router, config, x[row])
        assert chosen[row].tolist() == where
        torch.testing.assert_close(weights[row].tolist(), expected)


@law
@given(st.data(), sizes, st.booleans())
def test_weights_sum_to_one_where_they_are_normalised(data: st.DataObject, experts: int, bias: bool) -> None:
    k = data.draw(st.integers(1, experts))
    x = 3 * torch.randn(5, DIM, dtype=torch.float64)
    first = made(ffn.topk_softmax(k=k, bias=bias), experts)
    second = made(ffn.softmax_topk(k=k, bias=bias, normalise=True), experts)
    plain = made(ffn.softmax_topk(k=k, bias=bias), experts)
    weights, chosen, _ = first(x)
    torch.testing.assert_close(weights.sum(-1), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(second(x)[0], weights)
    assert torch.equal(second(x)[1], chosen)
    left_out = 1 - plain(x)[0].sum(-1)
    assert (left_out > 0).all() if k < experts else torch.allclose(left_out, torch.zeros(5, dtype=torch.float64))


@pytest.mark.parametrize("config", [ffn.topk_softmax(k=2, balance=1, bias=True), ffn.softmax_topk(k=2, balance=1)])
def test_its_arithmetic_is_float32_however_narrow_the_rest(config: Config) -> None:
    x = torch.randn(50, DIM, dtype=torch.bfloat16)
    narrow = made(config, 5, torch.bfloat16)
    wide = made(config, 5, torch.float32)
    wide.load_state_dict(narrow.state_dict())
    expected = wide(x.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = [narrow(x), wide(x.float())]
    for weights, experts, losses in [*found, narrow(x)]:
        assert weights.dtype == losses["balance"].dtype == torch.float32
        torch.testing.assert_close((weights, experts, losses), expected, rtol=0, atol=0)


@law
@given(st.data(), sizes, st.integers(1, 6), st.sampled_from([0.01, 0.5]))
def test_balance_is_the_share_of_the_choices_times_the_mean_chance(
    data: st.DataObject, experts: int, positions: int, coefficient: float
) -> None:
    k, kind = data.draw(st.integers(1, experts)), data.draw(st.sampled_from([ffn.topk_softmax, ffn.softmax_topk]))
    router = made(kind(k=k, balance=coefficient), experts)
    x = torch.randn(positions, DIM, dtype=torch.float64)
    _, chosen, losses = router(x)
    chances = (x @ router.linear.weight.detach().T).softmax(-1)
    expected = 0.0
    for expert in range(experts):
        share = chosen.flatten().tolist().count(expert) / (positions * k)
        expected += coefficient * experts * share * float(chances[:, expert].mean())
    torch.testing.assert_close(float(losses["balance"].detach()), expected)
    assert set(losses) == {"balance"}


@law
@given(st.data(), sizes)
def test_balance_is_one_for_an_even_spread_whatever_k_is_and_more_for_an_uneven_one(
    data: st.DataObject, experts: int
) -> None:
    k = data.draw(st.integers(1, experts))
    router = made(ffn.topk_softmax(k=k, bias=True, balance=1), experts)
    x = torch.randn(9, DIM, dtype=torch.float64)
    with torch.no_grad():
        router.linear.weight.zero_()
        router.linear.bias.zero_()
        even = router(x)[2]["balance"]
        router.linear.bias.copy_(torch.arange(experts))
        uneven = router(x)[2]["balance"]
    torch.testing.assert_close(float(even), 1.0)
    torch.testing.assert_close(uneven, experts / k * router.linear.bias.softmax(0)[-k:].sum())
    assert uneven > 1 + 1e-9 or k == experts


def test_balance_pulls_the_router_towards_an_even_spread() -> None:
    router = made(ffn.topk_softmax(k=1, bias=True, balance=0.1), 3)
    with torch.no_grad():
        router.linear.bias.copy_(torch.tensor([0.5, 0.0, -0.5]))
        router.linear.weight.zero_()
    router(torch.randn(6, DIM, dtype=torch.float64))[2]["balance"].backward()
    assert router.linear.bias.grad[0] > 0  # a step against it makes the crowded expert less likely
    assert (router.linear.bias.grad[1:] < 0).all()


def test_there_is_no_loss_without_a_coefficient_nor_in_evaluation() -> None:
    x = torch.randn(6, DIM, dtype=torch.float64)
    assert made(ffn.topk_softmax(k=2), 3)(x)[2] == {}
    balanced = made(ffn.softmax_topk(k=2, balance=0.1), 3)
    assert set(balanced(x)[2]) == {"balance"}
    assert balanced.eval()(x)[2] == {}


@pytest.mark.parametrize(
    ("experts", "k", "help"), [(4, 5, "k may be from 1 to 4"), (1, 2, "k may be 1"), (8, 9, "k may be from 1 to 8")]
)
def test_more_experts_a_position_than_there_are_is_a_fault(experts: int, k: int, help: str) -> None:
    (found,) = ffn.topk_softmax(k=k).problems(Context(dim=DIM, experts=experts))
    assert (found.field, found.code, found.help) == ("k", "E301", help)
    assert found.message == f"k must be at most experts = {experts}; {k} arrived"


def test_a_fault_of_k_shows_where_the_experts_were_set() -> None:
    spec = """llm 1
model = decoder {
  dim = 8, vocab = 16, context = 8, norm = rms
  layers = block {
    attention = mha { heads = 2 }
    ffn = moe {
      experts = 4
      router = topk_softmax { k = 5 }
      expert = swiglu
    }
  }
}
"""
    with pytest.raises(SpecError) as caught:
        load(spec)
    (found,) = caught.value.diagnostics
    assert found.span is not None
    assert spec[found.span.start : found.span.end] == "5"
    assert [(each.message, spec[each.span.start : each.span.end]) for each in found.related] == [
        ("`experts` set here", "4")
    ]


def test_a_router_says_what_it_needs_to_know() -> None:
    with pytest.raises(SpecError, match="experts is not known here"):
        ffn.topk_softmax(k=1).build(Context(dim=DIM))


def test_a_correction_moves_the_choice_and_no_weight_and_nothing_moves_it() -> None:
    router = made(ffn.sigmoid_groups(k=2, scale=2.5, balance=0.1), experts=4)
    x = torch.randn(9, DIM, dtype=torch.float64)
    router.correction.copy_(torch.tensor([0.0, 9.0, 0.0, 9.0]))
    weights, chosen, losses = router(x)
    assert (chosen.sort(-1).values == torch.tensor([1, 3])).all()
    scores = (x @ router.linear.weight.T).sigmoid().gather(-1, chosen)
    torch.testing.assert_close(weights, 2.5 * scores / scores.sum(-1, keepdim=True))
    torch.testing.assert_close(weights.sum(-1), torch.full((9,), 2.5, dtype=torch.float64))
    (weights.square().sum() + losses["balance"]).backward()
    assert router.correction.tolist() == [0, 9, 0, 9]
    assert not router.correction.requires_grad


def test_a_group_is_as_good_as_its_two_best_together() -> None:
    router = made(ffn.sigmoid_groups(k=2, groups=2, keep=1), experts=6)
    with torch.no_grad():
        router.linear.weight.zero_()
    for correction, where in (
        ([0.9, 0.1, 0.2, 0.6, 0.7, 0.3], [3, 4]),  # 0.9 alone is the best of all, but 0.6 + 0.7 are more
        ([0.9, 0.1, 0.6, 0.6, 0.7, 0.7], [0, 2]),  # all three of the other sum to more, its two best do not
        ([-5.0, -9.0, -6.0, -7.0, -8.0, -9.0], [0, 2]),  # scores below 0 are chosen, and none outside of the group
    ):
        router.correction.copy_(torch.tensor(correction))
        assert router(torch.randn(1, DIM, dtype=torch.float64))[1].sort().values.tolist() == [where]


def test_a_correction_is_saved_with_the_weights_and_as_wide_as_float32() -> None:
    narrow = made(ffn.sigmoid_groups(k=1), 3, torch.bfloat16)
    assert narrow.correction.dtype == torch.float32
    assert set(narrow.state_dict()) == {"linear.weight", "correction"}
    other = made(ffn.sigmoid_groups(k=1), 3, torch.bfloat16)
    narrow.correction.copy_(torch.tensor([8.001, 8.002, 8.003]))
    other.load_state_dict(narrow.state_dict())
    assert other(torch.zeros(1, DIM, dtype=torch.bfloat16))[1].tolist() == [[2]]


def test_scores_that_are_all_zero_give_finite_weights_and_gradients() -> None:
    router = made(ffn.sigmoid_groups(k=2, bias=True, balance=1), experts=4)
    with torch.no_grad():
        router.linear.bias.fill_(-1e4)
    weights, _, losses = router(torch.randn(3, DIM, dtype=torch.float64))
    (weights.sum() + losses["balance"]).backward()
    assert weights.isfinite().all()
    assert router.linear.weight.grad.isfinite().all()


def test_balance_of_sigmoid_scores_is_that_of_their_shares() -> None:
    router = made(ffn.sigmoid_groups(k=1, balance=0.5), experts=3)
    x = torch.randn(8, DIM, dtype=torch.float64)
    _, chosen, losses = router(x)
    scores = (x @ router.linear.weight.detach().T).sigmoid()
    shares = torch.bincount(chosen.flatten(), minlength=3) / 8
    expected = 0.5 * 3 * (shares * (scores / scores.sum(-1, keepdim=True)).mean(0)).sum()
    torch.testing.assert_close(losses["balance"].detach(), expected)


@pytest.mark.parametrize(
    ("options", "field", "message", "help"),
    [
        ({"k": 1, "groups": 4}, "groups", "groups must divide experts = 6; 4 arrived", "groups may be 1, 2, 3, 6"),
        ({"k": 1, "groups": 2, "keep": 3}, "keep", "keep must be at most groups = 2; 3 arrived", "from 1 to 2"),
        (
            {"k": 3, "groups": 3, "keep": 1},
            "k",
            "k must be at most the 2 experts of 1 groups; 3 arrived",
            "a smaller k, or keep = 2 groups",
        ),
        ({"k": 7, "groups": 3, "keep": 1}, "k", "k must be at most experts = 6; 7 arrived", "k may be from 1 to 6"),
    ],
)
def test_groups_that_cannot_be_are_faults(options: dict[str, int], field: str, message: str, help: str) -> None:
    (found,) = ffn.sigmoid_groups(**options).problems(Context(dim=DIM, experts=6))
    assert (found.field, found.message) == (field, message)
    assert help in found.help
