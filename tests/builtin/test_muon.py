"""Muon: the algorithm of its source, a stack as many matrices, and the rest in the hands of another optimiser."""

from __future__ import annotations

from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from llm_build import load_weights, save_weights
from llm_build_plugins import train
from tests.builtin.optimizing import DECAYS, RATES, SHAPES, Bank, advance, after, drawn, made, same
from tests.laws import law
from tests.small import small_model


def orthogonalised(matrix: Tensor) -> Tensor:
    """Five Newton–Schulz iterations with the coefficients of the source."""
    found = matrix / matrix.norm()
    for _ in range(5):
        gram = found @ found.T
        found = 3.4445 * found + (-4.7750 * gram + 2.0315 * gram @ gram) @ found
    return found


def complex_column(seed: int, count: int) -> Tensor:
    """Complex numbers as matrices, one below the other [2 · count, 2]: both singular values of any sum are the same."""
    real, imaginary = drawn(seed, 2, count)
    return torch.stack([real, -imaginary, imaginary, real], 1).reshape(-1, 2)


@law
@given(
    st.integers(1, 4),
    st.booleans(),
    RATES,
    st.floats(0, 0.9),
    st.sampled_from(["original", "match_rms_adamw"]),
    DECAYS,
)
def test_muon_is_the_orthogonalised_momentum_of_its_source(
    count: int, wide: bool, lr: float, momentum: float, adjust: str, decay: float
) -> None:
    # torch iterates in bf16, and a singular value much smaller than the others would show its rounding
    columns = [complex_column(seed, count) for seed in range(4)]
    weight, *grads = [each.T if wide else each for each in columns]
    expected, kept = weight.clone(), torch.zeros_like(weight)
    out, into = weight.shape
    scale = max(1, out / into) ** 0.5 if adjust == "original" else 0.2 * max(out, into) ** 0.5
    for grad in grads:
        kept = momentum * kept + (1 - momentum) * grad
        update = orthogonalised((1 - momentum) * grad + momentum * kept)
        expected = (1 - lr * decay) * expected - lr * scale * update
    config = train.muon(lr=lr, momentum=momentum, adjust=adjust, decay=decay)
    torch.testing.assert_close(after(config, weight, grads), expected, atol=0.04 * lr * scale, rtol=0)


# stacks


@law
@given(st.lists(st.integers(1, 3), min_size=1, max_size=2), SHAPES, st.integers(0, 9))
def test_muon_moves_a_stack_as_each_of_its_matrices_alone(
    leading: list[int], shape: tuple[int, int], seed: int
) -> None:
    weight, grads = drawn(seed, *leading, *shape), [drawn(seed + step, *leading, *shape) for step in (1, 2, 3)]
    whole = after(train.muon(), weight, grads).flatten(0, -3)
    parts = [each.flatten(0, -3) for each in (weight, *grads)]
    for index, found in enumerate(whole):
        alone = after(train.muon(), parts[0][index], [each[index] for each in parts[1:]])
        assert torch.equal(found, alone)


def test_muon_moves_a_stack_that_is_no_block_of_memory() -> None:
    weight, grad = drawn(0, 2, 3, 4), drawn(1, 2, 3, 4)
    model = nn.ParameterList([nn.Parameter(weight.transpose(0, 1).contiguous().transpose(0, 1))])
    assert not model[0].is_contiguous()
    model[0].grad = grad
    made(train.muon(), model).step()
    assert torch.equal(model[0].detach(), after(train.muon(), weight, [grad]))


def test_muon_follows_weights_that_are_loaded_between_steps(tmp_path: Path) -> None:
    model, other = Bank(seed=0), Bank(seed=1)
    save_weights(other, tmp_path / "weights.safetensors")
    optimizer = made(train.muon(), model)
    load_weights(model, tmp_path / "weights.safetensors")
    advance(model, optimizer, seed=2)
    advance(other, made(train.muon(), other), seed=2)
    assert same(model, other)


def test_muon_follows_a_weight_whose_memory_is_replaced() -> None:
    model, twin = Bank(), Bank()
    optimizer, its = made(train.muon(), model), made(train.muon(), twin)
    for weight in model.parameters():
        weight.data = weight.data.clone()
    advance(model, optimizer, seed=1)
    advance(twin, its, seed=1)
    assert same(model, twin)


def test_muon_leaves_a_matrix_without_a_gradient_alone() -> None:
    model = Bank()
    optimizer = made(train.muon(), model)
    before = model.stack.detach().clone()
    model.map.weight.grad = torch.ones_like(model.map.weight)
    optimizer.step()
    assert torch.equal(model.stack, before)


def test_muon_keeps_no_gradient_after_a_step() -> None:
    model = Bank()
    optimizer = made(train.muon(), model)
    advance(model, optimizer, seed=0)
    groups = [*optimizer.param_groups, *optimizer.matrices.param_groups]
    assert all(weight.grad is None for group in groups for weight in group["params"])


def test_what_is_no_matrix_goes_to_the_others() -> None:
    model, twin = Bank(), Bank()
    others = train.lion(lr=0.3)
    # each parameter is given the same gradient in both
    advance(model, made(train.muon(others=others), model), seed=1)
    advance(twin, made(others, twin), seed=1)
    pairs = zip(model.named_parameters(), twin.parameters(), strict=True)
    assert {name for (name, mine), its in pairs if torch.equal(mine, its)} == {"table", "scale", "map.bias"}


def test_the_matrices_of_a_model_are_muon_s_and_its_tables_are_not() -> None:
    model = small_model(tie=False, bias=True)
    optimizer = made(train.muon(lr=0.5, others=train.sgd(lr=0.25)), model)
    rates = {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    of_others = {name for name, weight in model.named_parameters() if rates[id(weight)] == 0.25}
    assert of_others >= {"embedding.weight", "head.own", "head.bias", "norm.weight"}
    assert all(weight.ndim == 2 for name, weight in model.named_parameters() if name not in of_others)


def test_muon_over_matrices_alone_needs_no_others() -> None:
    model = nn.Linear(3, 2, bias=False)
    optimizer = made(train.muon(), model)
    advance(model, optimizer, seed=0)
    optimizer.load_state_dict(optimizer.state_dict())
    assert [group["params"] for group in optimizer.param_groups] == [[model.weight]]


def test_muon_over_no_matrix_is_its_others() -> None:
    optimizer = made(train.muon(others=train.sgd()), nn.LayerNorm(3))
    assert isinstance(optimizer, torch.optim.SGD)
