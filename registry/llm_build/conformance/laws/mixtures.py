"""What holds for feed-forward networks and for mixtures of them. Legend: R rows, X experts, D model dim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from llm_build.conformance.calls import Call, call_of, losses_of
from llm_build.conformance.check import check
from llm_build.conformance.compare import finite, require, same
from llm_build.conformance.trial import Trial

CROWD = 48
"""Positions that all want the same experts."""
TRIES = 16
NOTHING = 1e-12
"""What rounding makes of no change."""
EXPERTS = 3


@check("losses", slots=["ffn", "router"])
def losses(trial: Trial) -> None:
    """What travels upwards beside the output are losses: scalars by name, finite, in training and in evaluation.

    Whether they spread the positions over the experts it does not say.
    """
    made = trial.made()
    call = call_of(trial, made, rows=2, length=6)
    for training in (True, False):
        whole = call.whole(made.module.train(training))
        for name, each in losses_of(whole).items():
            what = f"the loss {name} in {'training' if training else 'evaluation'}"
            require(isinstance(each, Tensor) and each.ndim == 0, f"{what} is no scalar tensor")
            require(each.is_floating_point(), f"{what} has the dtype {each.dtype}")
            finite(each.detach(), what)


@check("crowd", slots=["ffn"])
def crowd(trial: Trial) -> None:
    """Many positions that all go the same way are all served, in training and in evaluation.

    A mixture whose experts take only so many positions leaves the rest to the residual stream, without notice; one that
    means to says so in an opt-out.
    """
    made = trial.made(dropout=0.0)
    call = call_of(trial, made, rows=1, length=1)
    alone = call(made.module)
    together = call.tensors["x"].expand(2, CROWD // 2, -1)
    for training in (False, True):
        found = call(made.module.train(training), x=together)
        same(found, alone.expand_as(found), f"{CROWD} equal positions, training {training}".lower())


@check("active", slots=["ffn", "attention"])
def active(trial: Trial) -> None:
    """Where it says by `active` which share of its weights a token uses, one token depends on just that share.

    An expert that is left out without notice, or one that counts where it should not, is what it finds. It means
    nothing for a module without `active`.
    """
    made = trial.made(dim=8)
    call = call_of(trial, made, rows=1, length=1)
    for name, share in getattr(made.module, "active", {}).items():
        require(
            isinstance(share, Fraction) and 0 < share <= 1,
            f"active says {share!r} for {name}; a Fraction up to 1 is right",
        )
        require(hasattr(made.module, name), f"active names {name}, which the module has not")
        experts = list(_experts(getattr(made.module, name)))
        used = sum(_counts(each, made.module, call) for each in experts)
        require(
            used == share * len(experts), f"one token uses {used} of {len(experts)} {name}, and active says {share}"
        )


def _experts(held: Any) -> Iterator[Sequence[Tensor]]:
    """The weights of each expert: of each of a list of modules, or a slice along the first axis of a bank's."""
    if isinstance(held, nn.ModuleList):
        yield from (list(expert.parameters()) for expert in held)
        return
    bank = [held] if isinstance(held, Tensor) else list(held.parameters())
    yield from ([each[expert] for each in bank] for expert in range(len(bank[0])))


@torch.no_grad()
def _counts(weights: Sequence[Tensor], module: nn.Module, call: Call) -> bool:
    """Whether other weights of an expert give something else. A closed ReLU hides some of them, hardly ever all."""
    before, kept = call(module), [each.clone() for each in weights]
    for _ in range(TRIES):
        for each in weights:
            each.copy_(torch.randn_like(each))
        found = call(module)
        for each, old in zip(weights, kept, strict=True):
            each.copy_(old)
        if not torch.allclose(found, before, rtol=NOTHING, atol=NOTHING):
            return True
    return False


class ByHand:
    """Rows that are sent to experts, one row after another: what `interfaces.Groups` asks for, as plainly as can be."""

    def __init__(self, owners: Tensor, pieces: int) -> None:
        self.owners, self.pieces = owners, pieces

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x [R, in], weight [X, out, in], bias [X, out] → [R, out]."""
        y = torch.einsum("ri,roi->ro", x, weight[self.owners])
        return y if bias is None else y + bias[self.owners]

    def halves(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
        """The same, in one piece or in two."""
        return self.linear(x, weight, bias).chunk(self.pieces, dim=-1)


@check("grouped", slots=["ffn"], needs=["grouped"])
def grouped(trial: Trial) -> None:
    """As a bank of experts, each row gets what its own expert alone would give it, whichever rows lie beside it.

    Each expert's weights are those along the first axis of the bank's, under the same names as those of a single one.
    Where it fails, rows meet, an expert's weights or biases are not its own, or halves that come apart are mixed up.
    """
    made = trial.made(experts=EXPERTS)
    single = attrs.evolve(made, context=made.context.with_(experts=None)).again()
    rows = trial.normal(8, made.context.need("dim"))
    owners = trial.integers(EXPERTS, 8)
    bank = dict(made.module.state_dict())
    expected = torch.stack([_alone(single, bank, int(owner), row) for owner, row in zip(owners, rows, strict=True)])
    for pieces in (1, 2):
        found = made.module(rows, ByHand(owners, pieces))
        same(found[0] if isinstance(found, tuple) else found, expected, f"experts by row, in pieces: {pieces}")


def _alone(single: nn.Module, bank: dict[str, Tensor], owner: int, row: Tensor) -> Tensor:
    single.load_state_dict({name: each[owner] for name, each in bank.items()})
    found = single(row[None, None])
    y: Tensor = found[0] if isinstance(found, tuple) else found
    return y[0, 0].detach()
