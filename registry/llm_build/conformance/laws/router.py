"""What holds for routers. Legend: N positions, D model dim, X experts, k of them a position."""

from __future__ import annotations

import torch

from llm_build.conformance.calls import call_of
from llm_build.conformance.check import check
from llm_build.conformance.compare import finite, require, same
from llm_build.conformance.trial import Trial, shake

TRIES = 30
SURE = 1e-4
"""What float32 arithmetic may be off by, and no bfloat16 can be."""


@check("choices", slots=["router"])
def choices(trial: Trial) -> None:
    """Each position goes to k experts, no two of them alike, all of them there, with weights that are numbers.

    It holds where all logits are equal too, as they are for an input of zeros.
    """
    made = trial.made()
    call = call_of(trial, made, rows=3, length=6)
    for x in (call.tensors["x"], torch.zeros_like(call.tensors["x"])):
        weights, experts, *rest = call.whole(made.module, x=x)
        shape = [len(x), made.module.k]
        require(len(rest) == 1, f"a router gives weights, experts and losses; {2 + len(rest)} things came")
        require(list(weights.shape) == shape and list(experts.shape) == shape, f"not of the shape [N, k] = {shape}")
        require(experts.dtype == torch.int64, f"experts are int64; {experts.dtype} came")
        require(
            bool((experts >= 0).all() and (experts < made.context.need("experts")).all()), "an expert that is not there"
        )
        doubled = experts.sort(-1).values.diff(dim=-1) == 0
        require(not bool(doubled.any()), f"an expert twice at one position: {experts[doubled.any(-1)][:1].tolist()}")
        finite(weights, "weights")


@check("shares", slots=["router"])
def shares(trial: Trial) -> None:
    """No weight is below 0, some weight is above it, and with the capability "normalised" they sum to 1 everywhere.

    What the weights are among the experts it does not say; a reference does.
    """
    made = trial.made()
    call = call_of(trial, made, rows=3, length=6)
    weights, *_ = call.whole(made.module)
    require(bool((weights >= 0).all()), f"a weight of {float(weights.detach().min()):.4g}; none below 0 is right")
    sums = weights.sum(-1)
    require(bool((sums > 0).all()), "a position whose weights are all 0")
    if trial.subject.can("normalised"):
        same(sums, torch.ones_like(sums), "the sum of a position's weights")


@check("load", slots=["router"])
def load(trial: Trial) -> None:
    """Every expert is chosen by some position, for some weights of the router.

    One that nobody can choose is a part of the model that is saved, counted and never used.
    """
    made = trial.made(dim=8, experts=trial.whole("experts", 3, 8))
    left = set(range(made.context.need("experts")))
    for attempt in range(TRIES):
        if not left:
            return
        shake(made.module, made.seed + attempt)
        _, experts, *_ = call_of(trial, made, rows=4, length=8).whole(made.module)
        left -= set(experts.flatten().tolist())
    require(False, f"experts {sorted(left)} of {made.context.need('experts')} are never chosen")


@check("decides", slots=["router"])
def decides(trial: Trial) -> None:
    """In bfloat16 it decides as float64 would for the same weights and inputs: its arithmetic is float32 or wider.

    A logit that is rounded sends a position elsewhere than in another batch, on another machine, or in training.
    """
    made = trial.made(dim=8)
    narrow = made.again(dtype=torch.bfloat16)
    narrow.load_state_dict(made.module.state_dict())
    wide = made.again()
    wide.load_state_dict(narrow.state_dict())
    call = call_of(trial, made, rows=4, length=8)
    x = call.tensors["x"].bfloat16()
    found, expected = call(narrow, x=x), call(wide, x=x.double())
    same(found.double(), expected, "weights in bfloat16", rtol=SURE, atol=SURE)
