"""What holds for every generator: where chance comes from. Legend: B rows, V vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from hypothesis import strategies as st

from llm_build.components import field_specs
from llm_build.conformance.check import check
from llm_build.conformance.compare import require
from llm_build.conformance.small_model import SmallModel
from llm_build.conformance.trial import Made, Trial

GENERATOR = ("generator",)
LETTERS = "abcdefgh"
DRAWS, ERRORS = 300, 6.0
"""Tokens that are drawn, and how many standard errors a share of them may be off."""


class Letters:
    """A tokenizer whose token i is the i-th letter; the two after them end a text and fill a row."""

    eos, pad = len(LETTERS), len(LETTERS) + 1
    vocab_size = len(LETTERS) + 2

    def fit(self, texts: Any) -> None: ...

    def encode(self, text: str) -> list[int]:
        return [LETTERS.index(each) for each in text]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(each) for each in texts]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(LETTERS[each] for each in tokens if each < len(LETTERS))


@check("seed", slots=GENERATOR)
def seed(trial: Trial) -> None:
    """Row r draws with seed + r: the same seed gives the same text, whatever stands beside the row.

    Each prompt is continued in a batch and by itself, at two random states of torch. Where it fails, rows share a
    source of chance, or the global one is used.
    """
    made, model, prompts = drawn(trial)
    first = trial.whole("first seed", 0, 2**32)
    together = _texts(made, model, prompts, first, at=1)
    for row, prompt in enumerate(prompts):
        (alone,) = _texts(made, model, [prompt], first + row, at=2)
        require(
            alone == together[row],
            f"row {row} with the seed {first} in a batch goes on as {together[row]}, and by itself with the seed "
            f"{first + row} as {alone}",
        )


@check("distribution", slots=GENERATOR, when=lambda subject: "sampler" in field_specs(subject.cls), quick=5)
def distribution(trial: Trial) -> None:
    """Over many seeds the first token is drawn as often as the sampler's scores of the model's logits say.

    Padding is never drawn, nor a number that no token has. It is for configs with a field `sampler`. Where one token
    alone is drawn, the seed is not used; where it fails by a little, something is done to the scores after the sampler.
    """
    made, model, prompts = drawn(trial)
    sampler = made.config.part("sampler", made.context)
    logits = model(torch.tensor([Letters().encode(prompts[0])]))[:, -1].detach()
    logits[:, Letters.pad] = float("-inf")
    logits[:, Letters.vocab_size :] = float("-inf")
    seen = torch.zeros_like(logits, dtype=torch.bool)
    seen[0, Letters().encode(prompts[0])] = True
    wanted = sampler.scores(logits, seen)[0].double().softmax(-1)
    tokens = [row[0] for row in _texts(made, model, prompts[:1] * DRAWS, 0, max_new=1)]
    found = torch.tensor(tokens).bincount(minlength=len(wanted)) / DRAWS
    allowed = ERRORS * (wanted * (1 - wanted) / DRAWS).sqrt() + 3 / DRAWS
    worst = int(((found - wanted).abs() - allowed).argmax())
    require(
        bool((found - wanted).abs()[worst] <= allowed[worst]),
        f"of {DRAWS} draws {float(found[worst]):.4f} are token {worst}; its probability is {float(wanted[worst]):.4f}",
    )
    impossible = found[wanted == 0]
    require(not bool(impossible.any()), "a token is drawn that the sampler leaves out")


def drawn(trial: Trial) -> tuple[Made, SmallModel, list[str]]:
    """A generator, a model whose next token depends on the last one alone, and prompts."""
    made = trial.made()
    model = SmallModel(trial, Letters.vocab_size + 2, alone=True).eval()
    prompts = st.lists(st.text(LETTERS, min_size=1, max_size=5), min_size=2, max_size=4)
    return made, model, trial.draw("prompts", prompts)


def _texts(
    made: Made, model: SmallModel, prompts: Sequence[str], seed: int, *, at: int = 0, max_new: int = 8
) -> list[list[int]]:
    """The tokens that continue each prompt, at a random state of torch."""
    torch.default_generator.manual_seed(at)
    rows: list[list[int]] = [[] for _ in prompts]
    for piece in made.module.generate(model, Letters(), prompts, max_new=max_new, seed=seed):
        if piece.token is not None:
            rows[piece.row].append(piece.token)
    return rows
