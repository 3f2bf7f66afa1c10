"""What a module does in training that it does not do in evaluation."""

from __future__ import annotations

import torch
from torch import Tensor

from llm_build.components import field_specs
from llm_build.conformance.calls import CALLS, Call, call_of
from llm_build.conformance.check import check
from llm_build.conformance.compare import require, same
from llm_build.conformance.subject import Subject
from llm_build.conformance.trial import Trial

RATE = 0.5


def _has_dropout(subject: Subject) -> bool:
    return "dropout" in field_specs(subject.cls)


@check("dropout", slots=CALLS, when=_has_dropout)
def dropout(trial: Trial) -> None:
    """With `dropout` at one half, two calls in training differ, and differ from evaluation.

    How often something is dropped, and by what the rest is multiplied, it does not say.
    """
    made = trial.made(fields={"dropout": RATE}, dim=8)
    call = call_of(trial, made, rows=3, length=8)
    calm = call(made.module)
    first, second = _trained(call, made.module, 1), _trained(call, made.module, 2)
    require(not torch.equal(first, second), "dropout = 0.5, and two calls in training are the same")
    require(not torch.equal(first, calm), "dropout = 0.5, and training gives what evaluation gives")


@check("training", slots=CALLS)
def training(trial: Trial) -> None:
    """Without dropout, training gives the numbers that evaluation gives, and no row changes another's.

    Statistics over a batch, and tokens that are dropped where an expert is full, are what it finds; a component that
    means them says so in an opt-out. Noise in training that no field named dropout asks for is taken as meant.
    """
    fields = {"dropout": 0.0} if _has_dropout(trial.subject) else {}
    made = trial.made(fields=fields, dropout=0.0)
    call = call_of(trial, made, rows=3, length=6)
    calm = call(made.module)
    first, second = _trained(call, made.module, 1), _trained(call, made.module, 2)
    if torch.equal(first, second):
        same(first, calm, "in training without dropout")
    else:
        require(not fields, "dropout = 0, and two calls in training differ")


def _trained(call: Call, module: torch.nn.Module, seed: int) -> Tensor:
    torch.default_generator.manual_seed(seed)
    try:
        return call(module.train()).detach()
    finally:
        module.eval()
