"""What holds for initialisers. Legend: D model dim."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from llm_build.conformance.check import check
from llm_build.conformance.compare import finite, require
from llm_build.conformance.trial import Made, Trial

DIM = 48
DEEP = 32
CLOSE = 0.9
"""What the spread of 2,304 numbers is never below by chance, of what it should be."""
ALIKE = 0.3
"""A correlation of as many that chance never gives."""


class Bank(nn.Module):
    """Draws its own parameters, as every module does that is no linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(DIM, DIM))
        self.out = nn.Parameter(torch.empty(DIM, DIM))
        self.gain = nn.Parameter(torch.empty(DIM))

    def initialise(self, draw: Callable[..., None]) -> None:
        """By the slot's word: `draw(tensor)`, and with `residual` for what writes into the stream."""
        draw(self.table)
        draw(self.out, residual=True)
        nn.init.ones_(self.gain)


def model(dtype: torch.dtype = torch.float64) -> nn.ModuleDict:
    """Everything that an initialiser meets, holding NaN: linear maps with and without a bias, some that write into the
    residual stream, and a module that draws its own."""
    with torch.random.fork_rng(devices=[]):
        parts: dict[str, Any] = {
            "up": nn.Linear(DIM, DIM),
            "down": nn.Linear(DIM, DIM, bias=False),
            "nested": nn.Sequential(nn.Linear(DIM, DIM), Bank()),
            "bank": Bank(),
        }
    made = nn.ModuleDict(parts).to(dtype)
    parts["down"].writes_residual = True
    with torch.no_grad():
        for each in made.parameters():
            each.fill_(torch.nan)
    return made


def drawn(made: Made, seed: int, **options: Any) -> dict[str, Tensor]:
    """The weights of a model, as an initialiser leaves them."""
    held = model(**options)
    before = dict(held.named_parameters())
    made.module.initialise(held, torch.Generator().manual_seed(seed))
    after = dict(held.named_parameters())
    require(all(after[name] is each for name, each in before.items()), "a parameter is another one now; draw in place")
    return {name: each.detach() for name, each in after.items()}


@check("every_weight", slots=["initialiser"])
def every_weight(trial: Trial) -> None:
    """Every weight is drawn anew, in place, in any dtype: the matrices spread, all numbers finite, no two alike.

    How far they spread it does not say. What is left as it was is told: a linear map, one inside another module, or a
    module that draws its own (`initialise(draw)`), and is to be called once.
    """
    made = trial.made()
    for dtype in (torch.float64, torch.bfloat16):
        weights = drawn(made, trial.whole("drawn", 0, 99), dtype=dtype)
        for name, each in weights.items():
            require(not bool(each.isnan().any()), f"{name} is left as it was")
            finite(each, name)
        matrices = {name: each for name, each in weights.items() if each.ndim > 1}
        for name, each in matrices.items():
            require(float(each.double().std()) > 0, f"all numbers of {name} are one")
        for first, second in pairwise(sorted(matrices)):
            alike = torch.corrcoef(torch.stack([matrices[first].flatten(), matrices[second].flatten()]).double())[0, 1]
            require(abs(float(alike)) < ALIKE, f"{first} and {second} are drawn alike")


@check("source", slots=["initialiser"])
def source(trial: Trial) -> None:
    """The generator alone decides: the same seed gives the same weights, another gives others.

    torch's own random state is neither read nor moved. Where it fails, a run cannot be repeated, or what is built
    beside the model decides what the model is.
    """
    made = trial.made()
    torch.default_generator.manual_seed(1)
    before = torch.get_rng_state()
    first = drawn(made, 5)
    require(torch.equal(torch.get_rng_state(), before), "torch's own random state is moved: draw with the generator")
    torch.default_generator.manual_seed(2)
    second, other = drawn(made, 5), drawn(made, 6)
    for name, each in first.items():
        require(_equal(each, second[name]), f"{name} differs for one seed of the generator")
        require(each.ndim < 2 or not _equal(each, other[name]), f"{name} is the same for two seeds")


def _equal(first: Tensor, second: Tensor) -> bool:
    return torch.equal(first.nan_to_num(), second.nan_to_num())  # what is left as it was is told elsewhere


@check("depth", slots=["initialiser"])
def depth(trial: Trial) -> None:
    """What writes into the residual stream is never spread wider than the rest; with the capability "residual" less.

    With the promise, and all fields at their defaults, it shrinks with the depth of the stack, so that the stream does
    not grow with it. It holds for linear maps marked `writes_residual` and for `draw(tensor, residual=True)`.
    """
    if trial.subject.can("residual"):
        made = [trial.made(plain=True, depth=layers) for layers in (1, DEEP)]
        shallow, deep = (drawn(each, 3) for each in made)
        for name in ("down.weight", "bank.out"):
            require(_spread(deep[name]) < CLOSE * _spread(shallow[name]), f"{name} does not shrink with the depth")
    weights = drawn(trial.made(depth=DEEP), 3)
    for wide, narrow in (("up.weight", "down.weight"), ("bank.table", "bank.out")):
        require(
            CLOSE * _spread(weights[narrow]) <= _spread(weights[wide]),
            f"{narrow}, which writes into the residual stream, is spread wider than {wide}",
        )


def _spread(weight: Tensor) -> float:
    return float(weight.std())
