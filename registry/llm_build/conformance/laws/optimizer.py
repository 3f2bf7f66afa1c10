"""What holds for every optimiser, over parameters of every shape and with every wish."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from llm_build.conformance.check import check
from llm_build.conformance.compare import finite, require, same
from llm_build.conformance.trial import Trial
from llm_build.groups import TABLE, VECTOR, ParameterGroup
from llm_build.run.nested import outlined, read_state, write_tensors

OPTIMIZER = ("optimizer",)
SMALL = 1e-4
"""A learning rate at which every optimiser moves, and none goes too far."""
RATIO = 0.5
BARE = ("number", "vector", "biases")
"""What weight decay is not for."""


class Weights(nn.Module):
    """Parameters of zero to three axes; a table, a stack of vectors and a slow matrix ask for what they need.

    They lie between 0.5 and 1.5 in size, away from 0. `frozen` is not trained, `shared` is `matrix` again.
    """

    def __init__(self, trial: Trial, *, asking: bool = True) -> None:
        super().__init__()
        shapes = {"number": (), "vector": (5,), "matrix": (4, 3), "wide": (2, 6), "stack": (3, 2, 4), "table": (6, 3)}
        shapes |= {"biases": (3, 4), "slow": (3, 3), "row": (1, 2), "frozen": (3, 2)}
        for name, shape in shapes.items():
            drawn = trial.normal(*shape)
            self.register_parameter(name, nn.Parameter(drawn.sign() * (0.5 + drawn.abs().clamp(max=1))))
        self.frozen.requires_grad_(False)
        self.shared = self.matrix
        wishes = {"table": TABLE, "biases": VECTOR, "slow": ParameterGroup(lr=RATIO)}
        self.parameter_groups = wishes if asking else {"table": TABLE, "biases": VECTOR}

    def trained(self) -> dict[str, nn.Parameter]:
        return {name: each for name, each in self.named_parameters() if each.requires_grad}

    def copied(self) -> dict[str, Tensor]:
        return {name: each.detach().clone() for name, each in self.named_parameters()}


class Steps:
    """An optimiser over weights, stepped as the trainer does."""

    def __init__(self, component: Any, weights: Weights) -> None:
        self.weights, self.optimizer = weights, component.make(weights)
        self.peaks = [float(group["lr"]) for group in self.optimizer.param_groups]

    def take(self, gradients: Mapping[str, Tensor], rate: float = SMALL) -> None:
        """A step on the gradients that are given, where `rate` is that of the fastest group."""
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = rate * peak / max(self.peaks)
        for name, gradient in gradients.items():
            self.weights.get_parameter(name).grad = gradient.clone()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def peak(self, name: str) -> float:
        """The rate that a parameter has at the peak."""
        weight = self.weights.get_parameter(name)
        groups = zip(self.optimizer.param_groups, self.peaks, strict=True)
        return next(peak for group, peak in groups if any(each is weight for each in group["params"]))


@check("descent", slots=OPTIMIZER)
def descent(trial: Trial) -> None:
    """Small steps on half the squares of all weights bring each parameter nearer to 0, whatever its shape.

    Numbers, vectors, matrices, stacks and tables are looked at one by one. Where one is still, it is left out; where it
    grows, a sign is wrong. How fast it goes is not looked at.
    """
    steps = begun(trial)
    weights = steps.weights.trained()
    first = steps.weights.copied()
    before = {name: _half_square(each) for name, each in weights.items()}
    for _ in range(3):
        steps.take({name: each.detach() for name, each in weights.items()})
    for name, each in weights.items():
        finite(each, f"{name} {list(each.shape)}")
        still = int((each == first[name]).sum())
        require(still == 0, f"{still} of the {each.numel()} numbers of {name} {list(each.shape)} do not move")
        now = _half_square(each)
        require(now < before[name], f"{name} {list(each.shape)}: the loss goes from {before[name]:.9g} to {now:.9g}")


@check("rate", slots=OPTIMIZER)
def rate(trial: Trial) -> None:
    """At a learning rate of 0 nothing moves, and at the next one that is not 0 everything does.

    The trainer sets the "lr" of each group before a step, by the schedule. Where it fails, the rate is the one that was
    there when the optimiser was made, or weight decay is not multiplied with it.
    """
    steps = begun(trial)
    for _ in range(trial.whole("steps before", 0, 2)):
        steps.take(_gradients(trial, steps.weights))
    before = steps.weights.copied()
    steps.take(_gradients(trial, steps.weights), rate=0.0)
    for name, each in steps.weights.named_parameters():
        same(each, before[name], f"{name} {list(each.shape)} at a learning rate of 0", rtol=0, atol=0)
    steps.take(_gradients(trial, steps.weights))
    _moved(steps.weights, steps.weights.trained(), before, f"at the learning rate {SMALL}, after one of 0")


@check("groups", slots=OPTIMIZER)
def groups(trial: Trial) -> None:
    """Each parameter that is trained stands in one group, with the peak rate that it asks for; no other one moves.

    A module asks by `parameter_groups`, and `llm_build.parameter_groups(model)` gives what was asked. Where it fails, a
    frozen parameter is listed, a shared one stands there twice, or a wish for another rate is not heard.
    """
    made = trial.made()
    steps, plain = Steps(made.module, Weights(trial)), Steps(made.module, Weights(trial, asking=False))
    listed = [each for group in steps.optimizer.param_groups for each in group["params"]]
    for name, each in steps.weights.named_parameters():
        count = sum(each is other for other in listed)
        require(count == each.requires_grad, f"{name} stands in {count} groups; {int(each.requires_grad)} is right")
    require(
        abs(steps.peak("slow") - RATIO * plain.peak("slow")) <= 1e-12 * plain.peak("slow"),
        f"a parameter that asks for {RATIO} times the rate gets {steps.peak('slow'):.6g}, "
        f"and {plain.peak('slow'):.6g} where it does not ask",
    )


@check("decay", slots=OPTIMIZER)
def decay(trial: Trial) -> None:
    """Where every gradient is 0, norms and biases do not move, and nothing grows.

    Weight decay alone acts there, and that is not for vectors, nor for what asks for no decay. Where it fails, all
    parameters stand in one group, or the decay has the wrong sign.
    """
    steps = begun(trial)
    before = steps.weights.copied()
    for _ in range(2):
        steps.take({name: torch.zeros_like(each) for name, each in steps.weights.trained().items()})
    for name, each in steps.weights.trained().items():
        if name in BARE:
            same(each, before[name], f"{name} {list(each.shape)}, which does not decay,", rtol=0, atol=0)
        grown = float((each.detach().abs() - before[name].abs()).max())
        require(grown <= 1e-12, f"{name} {list(each.shape)} grows by {grown:.3g} at a gradient of 0")


@check("resume", slots=OPTIMIZER)
def resume(trial: Trial) -> None:
    """Saved and read again, over a copy of the weights, the next steps are the same, bit for bit.

    The state goes through files, as that of a run does, and the random state is another. Where it fails, something that
    a step depends on is not in `state_dict`: a step count, a moment, the state of a part.
    """
    made = trial.made()
    first = Steps(made.module, Weights(trial))
    for _ in range(trial.whole("steps before", 0, 3)):
        first.take(_gradients(trial, first.weights))
    second = Steps(made.again(), copy.deepcopy(first.weights))
    second.optimizer.load_state_dict(_through_files(trial, first.optimizer.state_dict()))
    for step in range(trial.whole("steps after", 1, 3)):
        gradients = _gradients(trial, first.weights)
        for number, each in enumerate((first, second)):
            torch.default_generator.manual_seed(number)
            each.take(gradients)
        for name, weight in first.weights.trained().items():
            told = f"{name} {list(weight.shape)}, {step + 1} steps after the state was read,"
            same(second.weights.get_parameter(name), weight, told, rtol=0, atol=0)


@check("late", slots=OPTIMIZER)
def late(trial: Trial) -> None:
    """A parameter without a gradient does not move, and its first gradient may come in a later step.

    A batch need not reach every part, as with experts. Where it fails, a step takes every gradient to be there, or
    weight decay acts on what was not used.
    """
    steps = begun(trial)
    names = list(steps.weights.trained())
    missing = trial.draw("without a gradient", st.lists(st.sampled_from(names), min_size=1, unique=True))
    before = steps.weights.copied()
    steps.take({name: each for name, each in _gradients(trial, steps.weights).items() if name not in missing})
    for name in missing:
        same(steps.weights.get_parameter(name), before[name], f"{name}, which has no gradient,", rtol=0, atol=0)
    steps.take(_gradients(trial, steps.weights))
    _moved(steps.weights, missing, before, "at its first gradient")


def begun(trial: Trial) -> Steps:
    """A drawn optimiser over drawn weights."""
    return Steps(trial.made().module, Weights(trial))


def _gradients(trial: Trial, weights: Weights) -> dict[str, Tensor]:
    return {name: trial.normal(*each.shape) for name, each in weights.trained().items()}


def _moved(weights: Weights, names: Iterable[str], before: Mapping[str, Tensor], when: str) -> None:
    for name in names:
        each = weights.get_parameter(name)
        require(not torch.equal(each, before[name]), f"{name} {list(each.shape)} stays where it is {when}")


def _through_files(trial: Trial, state: Any) -> Any:
    folder = trial.folder
    outline, tensors = outlined(state)
    (folder / "outline.json").write_text(outline, encoding="utf-8")
    write_tensors(tensors, folder / "tensors.safetensors")
    return read_state(folder / "outline.json", folder / "tensors.safetensors")


def _half_square(weight: Tensor) -> float:
    return float(weight.detach().square().sum() / 2)
