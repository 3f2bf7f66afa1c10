"""What holds for every objective. Legend: B rows, T tokens, M tokens of a source, V vocabulary."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from llm_build.conformance.check import check
from llm_build.conformance.compare import finite, require, same
from llm_build.conformance.small_model import SmallModel, SmallSourceModel
from llm_build.conformance.trial import Trial
from llm_build.corpus import IGNORED, Batch

OBJECTIVE = ("objective",)


@check("nll", slots=OBJECTIVE)
def nll(trial: Trial) -> None:
    """The part "nll" is the mean of -ln p(target) over the targets that count, whatever else is minimised.

    It is compared with one that is computed from `model(…)`, for plain text and for pairs. Where it fails, padding is
    counted, the targets are moved along once more, the source or `count` is not handed to the model, or the unit is not
    nats.
    """
    objective, model, batch = drawn(trial)
    loss, parts = objective.loss(model, batch)
    require("nll" in parts, f'the parts to log must hold "nll"; they are {sorted(parts)}')
    same(parts["nll"].detach(), _by_hand(model, batch), "nll")
    for name, each in {"the loss": loss, **parts}.items():
        require(each.ndim == 0, f"{name} must be one number; it has the shape {list(each.shape)}")
        finite(each.detach(), name)


@check("uncounted", slots=OBJECTIVE)
def uncounted(trial: Trial) -> None:
    """What stands behind the real tokens of a row, and how much of it, moves neither the loss nor a gradient.

    Each row is filled with other tokens, and with more of them, whose targets are all `IGNORED`. Where it fails, a term
    beside the cross-entropy is a mean over all places, or the model is not told the count.
    """
    objective, model, batch = drawn(trial)
    before = _gradients(objective, model, batch)
    count = batch.count if batch.count is not None else torch.full((len(batch.tokens),), batch.tokens.shape[1])
    more = trial.whole("filled", 1, 3)
    tokens = nn.functional.pad(batch.tokens, (0, more))
    fill = trial.integers(model.vocab, *tokens.shape)
    real = torch.arange(tokens.shape[1]) < count[:, None]
    filled = attrs.evolve(
        batch,
        tokens=torch.where(real, tokens, fill),
        targets=nn.functional.pad(batch.targets, (0, more), value=IGNORED),
        count=count,
    )
    _alike(_gradients(objective, model, filled), before, "with other padding")


@check("divided", slots=OBJECTIVE)
def divided(trial: Trial) -> None:
    """The loss of a batch, its gradient and its parts are those of its rows, weighted by their targets that count.

    Accumulated gradients rest on it. Where it fails, something is a sum, or a mean of means. An objective that compares
    the rows of a batch with each other opts out.
    """
    objective, model, batch = drawn(trial, least=2)
    whole = batch.counted()
    sums: dict[str, Tensor] = {}
    for row in range(len(batch.tokens)):
        alone = batch.map(lambda each, row=row: each[row : row + 1])  # type: ignore[misc]
        for name, each in _gradients(objective, model, alone).items():
            sums[name] = sums.get(name, 0) + each * (alone.counted() / whole)
    _alike(_gradients(objective, model, batch), sums, "beside the weighted mean of the rows")


@check("none-counted", slots=OBJECTIVE)
def none_counted(trial: Trial) -> None:
    """A batch without a target that counts has a finite loss and finite gradients.

    Such a part of a larger batch has the weight 0, and 0 times NaN is NaN. Where it fails, a sum is divided by 0.
    """
    objective, model, batch = drawn(trial)
    empty = attrs.evolve(batch, targets=torch.full_like(batch.targets, IGNORED))
    for name, each in _gradients(objective, model, empty).items():
        finite(each, name)


@check("direction", slots=OBJECTIVE)
def direction(trial: Trial) -> None:
    """Raising the logit of a target lowers the loss, and every parameter of the model gets a gradient.

    It is looked at where the model finds all tokens equally likely. Where it fails, the sign is wrong, the logits are
    cut off from the loss, or what is minimised has nothing to do with the targets.
    """
    objective, model, batch = drawn(trial)
    for name, each in _gradients(objective, model, batch).items():
        require(name not in dict(model.named_parameters()) or bool(each.any()), f"{name} is 0 everywhere")
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.fill_(-math.log(model.vocab))
    target = trial.whole("target", 0, model.vocab - 1)
    alike = attrs.evolve(batch, targets=torch.where(batch.targets == IGNORED, IGNORED, target))
    found = float(_gradients(objective, model, alike)["head.bias"][target])
    require(found < 0, f"the gradient of the logit of the only target is {found:.6g}; it must be below 0")


@check("layer-losses", slots=OBJECTIVE)
def added(trial: Trial) -> None:
    """What the layers of the model add, such as a router's balance, is part of the loss.

    `model.hidden` gives it beside the activations. Where it fails, an objective takes the first of the two and drops
    the other, and experts are then never balanced.
    """
    objective, model, batch = drawn(trial)
    model.added = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
    found = _gradients(objective, model, batch)["added"]
    require(bool(found != 0), "the gradient of what the layers add is 0")


@check("narrow", slots=OBJECTIVE)
def narrow(trial: Trial) -> None:
    """Of a model in bfloat16 the loss is taken in float32 or wider.

    It is compared with the loss in float64 of the very logits that the model gives. Where it fails, the softmax is
    taken in bfloat16, which has three digits.
    """
    objective, model, batch = drawn(trial)
    logits = trial.normal(*batch.tokens.shape, model.vocab, scale=4.0).bfloat16()
    found, _ = objective.loss(Given(model, logits), batch)
    expected, _ = objective.loss(Given(model, logits.double()), batch)
    require(found.dtype in (torch.float32, torch.float64), f"the loss is {found.dtype}; float32 or wider is right")
    same(found.double(), expected.double(), "the loss of logits in bfloat16", rtol=1e-4, atol=1e-5)


class Given(nn.Module):
    """A model that gives these logits [B, T, V], whatever it reads; its head has nothing to do."""

    def __init__(self, like: SmallModel, logits: Tensor) -> None:
        super().__init__()
        self.vocab, self.context, self.head = like.vocab, like.context, nn.Identity()
        self.logits = logits

    def hidden(self, tokens: Tensor, state: Any = None, **reading: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The logits, and no loss."""
        return self.logits, {}

    def encoded(self, tokens: Tensor, count: Tensor | None = None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """A memory that nobody looks at."""
        return self.logits, {}


def drawn(trial: Trial, least: int = 1) -> tuple[Any, SmallModel, Batch]:
    """An objective, a model, and a batch with a target that counts, of text or of pairs."""
    paired = trial.flag("paired")
    made = trial.made(paired=paired)
    vocab: int = made.context.need("vocab")
    return made.module, (SmallSourceModel if paired else SmallModel)(trial, vocab), _batch(trial, vocab, least, paired)


def _batch(trial: Trial, vocab: int, least: int, paired: bool) -> Batch:
    rows, length = trial.whole("rows", least, 3), trial.whole("length", 2, 6)
    tokens, targets = trial.integers(vocab, rows, length), trial.integers(vocab, rows, length)
    count = None
    if trial.flag("padded"):
        counts = st.lists(st.integers(1, length), min_size=rows, max_size=rows)
        count = torch.tensor(trial.draw("count", counts))
        targets = targets.masked_fill(torch.arange(length) >= count[:, None], IGNORED)
    left_out = trial.integers(4, rows, length) == 0
    left_out[0, 0] = False
    targets = targets.masked_fill(left_out, IGNORED)
    if not paired:
        return Batch(tokens=tokens, targets=targets, count=count)
    source = trial.integers(vocab, rows, 4)
    return Batch(tokens=tokens, targets=targets, count=count, source=source, source_count=1 + trial.integers(4, rows))


def _by_hand(model: SmallModel, batch: Batch) -> Tensor:
    """The mean cross-entropy of the model's own logits, in float64."""
    reading: dict[str, Any] = {"count": batch.count}
    if isinstance(model, SmallSourceModel):
        assert batch.source is not None
        memory = model.encode(batch.source, batch.source_count)
        reading |= {"memory": memory, "memory_count": batch.source_count}
    with torch.no_grad():
        scores = model(batch.tokens, **reading).double().log_softmax(-1)
    counted = batch.targets != IGNORED
    chosen = scores.gather(-1, batch.targets.clamp(min=0)[..., None])[..., 0]
    mean: Tensor = -chosen[counted].mean()
    return mean


def _gradients(objective: Any, model: SmallModel, batch: Batch) -> dict[str, Tensor]:
    """The loss, its parts, and the gradient of every parameter."""
    model.zero_grad()
    loss, parts = objective.loss(model, batch)
    require(loss.requires_grad, "the loss has no gradient")
    loss.backward()
    found = {"the loss": loss, **parts}
    for name, each in model.named_parameters():
        require(each.grad is not None, f"{name} of the model gets no gradient")
        found[name] = each.grad
    return {name: each.detach().clone() for name, each in found.items()}


def _alike(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str) -> None:
    for name, each in expected.items():
        same(found[name], each, f"{name} {what}")
