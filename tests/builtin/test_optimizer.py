"""The optimisers: each is the algorithm of its source, and treats parameters as they ask to be treated."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from llm_build import VECTOR, Context, ParameterGroup, SpecError, TrainingError, load
from llm_build import train as run
from llm_build_plugins import train
from tests.builtin.optimizing import (
    BETAS,
    DECAYS,
    RATES,
    SHAPES,
    Bank,
    advance,
    after,
    decaying,
    drawn,
    made,
    named,
    same,
)
from tests.laws import law
from tests.small import small_model, spec_text, write_texts

ALL = ["adafactor", "adamw", "lion", "muon", "sgd"]


# the algorithms of the sources


@law
@given(SHAPES, RATES, BETAS, DECAYS)
def test_adamw_is_algorithm_2_of_its_source(
    shape: tuple[int, int], lr: float, betas: tuple[float, float], decay: float
) -> None:
    weight, grads = drawn(0, *shape), [drawn(seed, *shape) for seed in (1, 2, 3)]
    expected, first, second = weight.clone(), torch.zeros(shape), torch.zeros(shape)
    for step, grad in enumerate(grads, 1):
        first = betas[0] * first + (1 - betas[0]) * grad
        second = betas[1] * second + (1 - betas[1]) * grad**2
        unbiased = first / (1 - betas[0] ** step), second / (1 - betas[1] ** step)
        expected = expected - lr * (unbiased[0] / (unbiased[1].sqrt() + 1e-8) + decay * expected)
    torch.testing.assert_close(after(train.adamw(lr=lr, betas=betas, decay=decay), weight, grads), expected)


@law
@given(SHAPES, RATES, st.floats(0.01, 0.99), st.booleans(), DECAYS)
def test_sgd_is_momentum_on_the_gradient_with_its_penalty(
    shape: tuple[int, int], lr: float, momentum: float, nesterov: bool, decay: float
) -> None:
    weight, grads = drawn(0, *shape), [drawn(seed, *shape) for seed in (1, 2, 3)]
    expected, kept = weight.clone(), torch.zeros(shape)
    for grad in grads:
        full = grad + decay * expected
        kept = momentum * kept + full
        expected = expected - lr * (full + momentum * kept if nesterov else kept)
    config = train.sgd(lr=lr, momentum=momentum, nesterov=nesterov, decay=decay)
    torch.testing.assert_close(after(config, weight, grads), expected)


@law
@given(SHAPES, RATES, BETAS, DECAYS)
def test_lion_is_algorithm_2_of_its_source(
    shape: tuple[int, int], lr: float, betas: tuple[float, float], decay: float
) -> None:
    weight, grads = drawn(0, *shape), [drawn(seed, *shape) for seed in (1, 2, 3)]
    expected, momentum = weight.clone(), torch.zeros(shape)
    for grad in grads:
        direction = torch.sign(betas[0] * momentum + (1 - betas[0]) * grad)
        expected = expected - lr * (direction + decay * expected)
        momentum = betas[1] * momentum + (1 - betas[1]) * grad
    torch.testing.assert_close(after(train.lion(lr=lr, betas=betas, decay=decay), weight, grads), expected)


def rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


@law
@given(SHAPES, st.booleans(), st.floats(1e-4, 2), st.floats(-1, -0.1), DECAYS)
def test_adafactor_is_algorithms_4_and_5_of_its_source(
    shape: tuple[int, int], matrix: bool, lr: float, beta2_decay: float, decay: float
) -> None:
    size = shape if matrix else shape[:1]
    weight, grads = drawn(0, *size), [drawn(seed, *size) for seed in (1, 2, 3)]
    expected, rows, columns, whole = weight.clone(), 0.0, 0.0, 0.0
    for step, grad in enumerate(grads, 1):
        kept = 1 - step**beta2_decay
        scale = max(1e-3, rms(expected)) * min(lr, step**-0.5)
        if matrix:
            rows = kept * rows + (1 - kept) * grad.square().sum(1, keepdim=True)
            columns = kept * columns + (1 - kept) * grad.square().sum(0, keepdim=True)
            moment = rows * columns / rows.sum()
        else:
            moment = whole = kept * whole + (1 - kept) * grad.square()
        update = grad / moment.sqrt()
        # a vector does not decay
        expected = expected * (1 - lr * decay * matrix) - scale * update / max(1, rms(update))
    config = train.adafactor(lr=lr, beta2_decay=beta2_decay, decay=decay)
    torch.testing.assert_close(after(config, weight, grads), expected)


# how parameters ask to be treated


@pytest.mark.parametrize("name", ALL)
def test_norms_and_biases_do_not_decay(name: str) -> None:
    model = small_model(bias=True, tie=False)
    groups = made(decaying(name), model).param_groups
    decays = {id(weight): group["weight_decay"] for group in groups for weight in group["params"]}
    weights = dict(model.named_parameters())
    assert decays == {id(weight): 0.0 if weight.ndim < 2 else 0.3 for weight in weights.values()}
    assert decays[id(weights["norm.weight"])] == 0
    assert decays[id(weights["head.bias"])] == 0
    assert decays[id(weights["embedding.weight"])] == 0.3


@pytest.mark.parametrize("name", ALL)
def test_a_request_for_no_decay_is_heard(name: str) -> None:
    decays, model = Bank(), Bank()
    model.parameter_groups = {"stack": ParameterGroup(decay=False), "table": VECTOR}
    without = Bank()
    advance(model, made(decaying(name), model), seed=1)
    advance(without, made(decaying(name, 0.0), without), seed=1)
    advance(decays, made(decaying(name), decays), seed=1)
    assert torch.equal(model.stack, without.stack)
    assert torch.equal(model.table, without.table)
    assert not torch.equal(decays.stack, without.stack)
    assert torch.equal(model.map.weight, decays.map.weight)


@pytest.mark.parametrize("name", ALL)
def test_a_request_for_a_rate_multiplies_it(name: str) -> None:
    model, twin = Bank(), Bank()
    model.parameter_groups = {"stack": ParameterGroup(lr=0.5), "table": ParameterGroup(matrix=False, lr=2.0)}
    groups, plain = made(named(name), model).param_groups, made(named(name), twin).param_groups

    def rate(of: Any, weight: Tensor) -> float:
        return next(group["lr"] for group in of if any(each is weight for each in group["params"]))

    assert rate(groups, model.stack) == 0.5 * rate(plain, twin.stack)
    assert rate(groups, model.table) == 2.0 * rate(plain, twin.table)
    assert rate(groups, model.map.weight) == rate(plain, twin.map.weight)


@pytest.mark.parametrize("name", ALL)
def test_frozen_parameters_are_left_out_and_shared_ones_appear_once(name: str) -> None:
    model = small_model(tie=True)
    frozen = model.layers[0].requires_grad_(False)
    optimizer = made(named(name), model)
    covered = [id(weight) for group in optimizer.param_groups for weight in group["params"]]
    assert sorted(covered) == sorted(id(weight) for weight in model.parameters() if weight.requires_grad)
    assert not {id(weight) for weight in frozen.parameters()} & set(covered)


@pytest.mark.parametrize("name", ALL)
def test_a_model_without_anything_to_train_is_refused(name: str) -> None:
    with pytest.raises(TrainingError, match="needs a parameter to train; every one has requires_grad=False"):
        made(named(name), Bank().requires_grad_(False))


# what the trainer needs


@law
@given(st.sampled_from(ALL), st.integers(0, 3), st.integers(1, 3), st.integers(0, 9))
def test_a_saved_state_goes_on_bit_for_bit(name: str, before: int, then: int, seed: int) -> None:
    model = Bank(seed)
    optimizer = made(decaying(name), model)
    advance(model, optimizer, seed, steps=before, lr=0.1)
    # the rates are part of the state, also before a step has used them
    for group in optimizer.param_groups:
        group["lr"] = 0.2
    twin = copy.deepcopy(model)
    again = made(named(name), twin)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    advance(model, optimizer, seed + 1, steps=then)
    advance(twin, again, seed + 1, steps=then)
    advance(model, optimizer, seed + 2, lr=0.3)
    advance(twin, again, seed + 2, lr=0.3)
    assert same(model, twin)


@law
@given(st.sampled_from(ALL), st.integers(1, 3), st.integers(0, 9))
def test_a_rate_of_zero_leaves_every_weight(name: str, steps: int, seed: int) -> None:
    model = Bank(seed)
    optimizer = made(decaying(name), model)
    advance(model, optimizer, seed, steps=steps)
    before = copy.deepcopy(model)
    advance(model, optimizer, seed + 1, lr=0.0)
    assert same(model, before)


@pytest.mark.parametrize("name", ALL)
def test_a_gradient_may_come_late(name: str) -> None:
    """Such as that of a part which not every batch goes through."""
    model = Bank()
    optimizer = made(named(name), model)
    for weight in (model.map.bias, model.scale):
        weight.grad = torch.ones_like(weight)
        before = weight.detach().clone()
        optimizer.step()
        assert bool((weight < before).all())


@pytest.mark.parametrize("name", ALL)
def test_a_closure_gives_the_loss_and_its_gradients_are_used(name: str) -> None:
    model, twin = Bank(), Bank()
    x = drawn(0, 2)

    def closure() -> Tensor:
        loss = model(x).square().sum()
        loss.backward()
        return loss

    with torch.no_grad():
        found = made(named(name), model).step(closure)
    expected = twin(x).square().sum()
    expected.backward()
    made(named(name), twin).step()
    assert torch.equal(found, expected)
    assert same(model, twin)


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        ("adafactor { lr = 0.05 }", "constant"),
        ("adamw { lr = 1e-2 }", "warmup_cosine { warmup = 2 }"),
        ("lion { lr = 3e-3 }", "linear { warmup = 2, floor = 10% }"),
        ("muon { lr = 0.02, others = adamw { lr = 1e-2 } }", "wsd { decay = 30% }"),
        ("sgd { lr = 0.5, nesterov = true }", "inverse_sqrt { warmup = 5 }"),
    ],
)
def test_a_spec_trains_with_it(tmp_path: Path, optimizer: str, schedule: str) -> None:
    text = spec_text(write_texts(tmp_path / "texts"), train="samples = 0", length="steps = 20, batch = 4")
    config = load(text, [f"train.optimizer={optimizer}", f"train.schedule={schedule}"])
    records = run(config, out=tmp_path / "run", device="cpu", seed=0).run.directory.records()
    losses = [each["nll"] for each in records if "nll" in each]
    assert losses[-1] < 0.9 * losses[0]


def test_adafactor_leaves_rows_without_a_gradient() -> None:
    model = nn.ParameterList([nn.Parameter(torch.ones(4, 3))])
    optimizer = made(train.adafactor(eps1=1e-18), model)
    for _ in range(3):
        model[0].grad = torch.tensor([[1e-3], [0], [1.0], [0]]).expand(4, 3).clone()
        optimizer.step()
    assert torch.equal(model[0][1::2], torch.ones(2, 3))
    assert bool((model[0][::2] < 1).all())


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            train.sgd(nesterov=True, momentum=0),
            "nesterov looks ahead along the momentum, which must be above 0; 0 arrived",
        ),
        (train.sgd(momentum=1), "momentum takes a number at least 0 and below 1"),
        (train.sgd(lr=0), "lr takes a number above 0"),
        (train.adafactor(beta2_decay=0.8), "beta2_decay takes a number at least -1 and below 0"),
        (train.adafactor(eps1=1e-30), "eps1 takes a number at least 1e-18"),
        (train.adafactor(d=0.5), "d takes a number at least 1"),
        (train.lion(betas=[0.9]), "betas takes a list of 2"),
        (train.lion(betas=[0.9, 1]), "betas has an element [1] that takes a number at least 0 and below 1"),
        (train.lion(decay=-1), "decay takes a number at least 0"),
        (train.muon(ns_steps=0), "ns_steps takes a whole number from 1 to 99"),
        (train.muon(adjust="none"), 'adjust takes one of "original", "match_rms_adamw"'),
        (train.muon(others=train.muon()), "others takes an optimiser for what is no matrix; muon arrived"),
        (train.muon(others=train.wsd()), "others takes a component of slot optimizer"),
        (train.adamw(betas=[0.9, 1.5]), "betas has an element [1]"),
    ],
)
def test_bad_values_are_refused(config: Any, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        config.build(Context())
    assert expected in str(caught.value)
