"""What holds for every sampler: which tokens it leaves, and how likely. Legend: B rows, V vocabulary."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from llm_build.conformance.check import check
from llm_build.conformance.compare import require, same
from llm_build.conformance.trial import Made, Trial

NEVER = float("-inf")
SAMPLER = ("sampler",)
NARROW = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


@check("scores", slots=SAMPLER)
def scores(trial: Trial) -> None:
    """Whatever the dtype of the logits, each row of the scores has a token to draw, in float32 or wider.

    No score is NaN or +inf, also where logits are large, alike or -inf already. Where it fails with "nothing to draw",
    a filter has dropped all tokens; where it fails for the dtype, probabilities are rounded before they are compared.
    """
    made, logits, seen = drawn(trial)
    if trial.flag("alike"):
        logits = logits.round()
    logits = logits * trial.draw("scale", st.sampled_from((1.0, 30.0, 1000.0)))
    logits[..., 1:] = barred(trial, logits)[..., 1:]
    for dtype in NARROW:
        found = made.module.scores(logits.to(dtype), seen)
        told = f"the scores of {dtype} logits"
        require(found.shape == logits.shape, f"{told} have the shape {list(found.shape)}, not {list(logits.shape)}")
        require(found.dtype in (torch.float32, torch.float64), f"{told} are {found.dtype}; float32 or wider is right")
        require(not bool(found.isnan().any() | (found == -NEVER).any()), f"{told} hold NaN or +inf")
        require(bool((found > NEVER).any(-1).all()), f"{told} leave a row with nothing to draw: {found.tolist()}")


@check("pure", slots=SAMPLER)
def pure(trial: Trial) -> None:
    """The scores do not depend on the random state, nor on calls that came before, and what is given is not changed.

    Chance belongs to the generator, which has a source for each row. A sampler that draws by itself cannot be seeded.
    It stays beside `seen`, which meets a change in place by chance alone.
    """
    made, logits, seen = drawn(trial)
    given = logits.clone(), seen.clone()
    torch.default_generator.manual_seed(1)
    first = made.module.scores(logits, seen).clone()
    made.module.scores(-logits, ~seen)
    torch.default_generator.manual_seed(2)
    same(made.module.scores(logits, seen), first, "the same call again", rtol=0, atol=0)
    require(torch.equal(logits, given[0]), "the logits that were given are changed in place")
    require(torch.equal(seen, given[1]), "`seen` is changed in place")


@check("barred", slots=SAMPLER)
def barred_tokens(trial: Trial) -> None:
    """A token at -inf remains there, and the others get what they would get without it.

    The generator bars padding and rows of the embedding that no token has; where it fails, those can be written.
    """
    made, logits, seen = drawn(trial)
    least = barred(trial, logits)[:1].expand_as(logits)
    out = least[0] == NEVER
    out[trial.whole("never barred", 0, logits.shape[-1] - 1)] = False
    found = made.module.scores(logits.masked_fill(out, NEVER), seen)
    require(bool((found[:, out] == NEVER).all()), "a token that was at -inf can be drawn")
    same(chances(found[:, ~out]), chances(made.module.scores(logits[:, ~out], seen[:, ~out])), "beside barred tokens")


@check("sampler-rows", slots=SAMPLER)
def rows(trial: Trial) -> None:
    """A row's scores are the same by itself and among others.

    Where it fails, a largest value, a sum or a set of seen tokens is taken over the whole batch.
    """
    made, logits, seen = drawn(trial, least=2)
    together = made.module.scores(logits, seen)
    for row in range(len(logits)):
        same(made.module.scores(logits[row : row + 1], seen[row : row + 1])[0], together[row], f"row {row} by itself")


@check("renumbered", slots=SAMPLER)
def renumbered(trial: Trial) -> None:
    """Tokens that are numbered otherwise get the same scores, under their new numbers.

    A token's number says nothing of it. Where it fails, sorted values were not put back in their places, or a bound is
    on numbers. Logits that are equal are not tried: there the smaller number may decide. It stays for samplers that opt
    out of `likeliest`, which sees most of this too.
    """
    made, logits, seen = drawn(trial)
    order = torch.randperm(logits.shape[-1], generator=trial.random)
    found = made.module.scores(logits[:, order], seen[:, order])
    same(found, made.module.scores(logits, seen)[:, order], "tokens in another order")


@check("likeliest", slots=SAMPLER)
def likeliest(trial: Trial) -> None:
    """Of tokens that are alike in being seen or not, a likelier one is never dropped for another, nor scored below it.

    So the likeliest is left. A sampler that drops it on purpose, as locally typical sampling does, opts out.
    """
    made, logits, seen = drawn(trial)
    found = made.module.scores(logits, seen)
    for row in range(len(logits)):
        for held in (False, True):
            tokens = [each for each in logits[row].argsort().tolist() if bool(seen[row, each]) is held]
            for lower, higher in pairwise(tokens):
                require(
                    bool(found[row, lower] <= found[row, higher]),
                    f"in row {row} token {higher} is likelier than {lower}, and its score is lower: "
                    f"{float(found[row, higher]):.6g} and {float(found[row, lower]):.6g}",
                )


@check("constant", slots=SAMPLER)
def shift(trial: Trial) -> None:
    """The same number added to all logits of a row changes no probability, where no token was seen.

    Logits mean something by their differences alone. Where it fails, a threshold compares them with a fixed number or
    multiplies them, in place of comparing probabilities.
    """
    made, logits, seen = drawn(trial)
    none = torch.zeros_like(seen)
    moved = logits + trial.draw("constant", st.sampled_from((-7.0, 3.0, 20.0)))
    same(chances(made.module.scores(moved, none)), chances(made.module.scores(logits, none)), "logits that were moved")


@check("seen", slots=SAMPLER)
def seen_tokens(trial: Trial) -> None:
    """A token is never likelier for having been seen, whatever the sign of its logit.

    It says nothing of a sampler without a penalty. Where it fails at a negative logit, that was divided by a penalty,
    which brings it nearer to 0, in place of being multiplied.
    """
    made, logits, seen = drawn(trial)
    logits = logits + trial.draw("constant", st.sampled_from((-3.0, 0.0, 3.0)))
    for token in range(logits.shape[-1]):
        without, held = seen.clone(), seen.clone()
        without[:, token], held[:, token] = False, True
        before = chances(made.module.scores(logits, without))[:, token]
        after = chances(made.module.scores(logits, held))[:, token]
        for row in range(len(logits)):
            require(
                bool(after[row] <= before[row] + 1e-9),
                f"token {token} with the logit {float(logits[row, token]):.4g} has the probability "
                f"{float(before[row]):.6g}, and {float(after[row]):.6g} once it was seen",
            )


@check("nucleus", slots=SAMPLER, needs=["nucleus"])
def nucleus(trial: Trial) -> None:
    """With the capability "nucleus": the tokens left hold the share `p`, and without their least likely do not.

    The whole distribution is taken from the same sampler with p = 1. Where it fails with less than p, the token that
    crosses p was dropped; with more, a token beyond it was kept.
    """
    made, logits, seen = drawn(trial)
    share: float = made.config.p  # type: ignore[attr-defined]
    whole = chances(made.config.changed(p=1.0).build(made.context).scores(logits, seen))
    left = made.module.scores(logits, seen) > NEVER
    for row, kept in zip(whole, left, strict=True):
        held, least = float(row[kept].sum()), float(row[kept].min())
        told = f"the tokens left hold {held:.6g} of the probability {[round(each, 4) for each in row.tolist()]}"
        require(held >= share - 1e-9, f"{told}, less than p = {share}")
        require(held - least < share + 1e-9, f"{told}; without the least likely they hold p = {share} already")


@check("reference-scores", slots=SAMPLER, when=lambda subject: subject.reference is not None)
def reference(trial: Trial) -> None:
    """The probabilities are those of the reference that the author gives: reference(sampler, logits, seen) → scores.

    What agrees with itself, as a temperature that multiplies in place of dividing, is seen by a reference alone.
    """
    made, logits, seen = drawn(trial)
    assert trial.subject.reference is not None
    expected = trial.subject.reference(made.module, logits, seen)
    same(chances(made.module.scores(logits, seen)), chances(expected), "probabilities beside the reference")


def drawn(trial: Trial, least: int = 1) -> tuple[Made, Tensor, Tensor]:
    """A sampler, logits [B, V] in float64, no two alike in a row, and seen [B, V]."""
    made = trial.made()
    count, vocab = trial.whole("rows", least, 3), trial.whole("vocabulary", 2, 12)
    logits = trial.normal(count, vocab, scale=2.0)
    return made, logits, trial.integers(2, count, vocab).bool()


def barred(trial: Trial, logits: Tensor) -> Tensor:
    """The same logits, with about a third at -inf."""
    return logits.masked_fill(trial.integers(3, *logits.shape) == 0, NEVER)


def chances(found: Any) -> Tensor:
    """scores [B, V] → probabilities."""
    probabilities: Tensor = found.double().softmax(-1)
    return probabilities
