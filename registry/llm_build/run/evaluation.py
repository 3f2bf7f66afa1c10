"""What a trained model makes of a text: the figures of `llm-build eval`."""

from __future__ import annotations

import math
from typing import Any

import attrs

from llm_build.components import Config
from llm_build.context import Context
from llm_build.corpus import to_measure
from llm_build.errors import DataError
from llm_build.interfaces import Tokenizer
from llm_build.progress import Progress, Silence
from llm_build.resolve import resolve
from llm_build.run.compute import Compute
from llm_build.run.held_out import measure


@attrs.frozen(kw_only=True)
class Evaluation:
    """The mean cost of a text: nats a token and bits a byte, and the bits a byte that xz needs for the same bytes.

    It was taken over `tokens`, which are all there are, and stand for `size` bytes of `documents`. `data` is the name
    of the data's component; `held_out`: only what it holds out was measured.
    """

    nats: float
    bits: float
    xz_bits: float
    tokens: int
    size: int
    documents: int
    data: str
    held_out: bool

    @property
    def perplexity(self) -> float:
        """exp(nats): how many tokens, equally likely, would be as hard to tell."""
        try:
            return math.exp(self.nats)
        except OverflowError:
            return math.inf


def evaluate(
    spec: Any,
    model: Any,
    tokenizer: Tokenizer,
    compute: Compute,
    data: Config | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a model on what the data of its spec holds out, or on all of `data`.

    Raises `SpecError` for data that does not suit the model, `DataError` where there is none or it cannot be read.
    """
    filled: Any = resolve(spec if data is None else attrs.evolve(spec, data=data), Context())
    if filled.data is None:
        raise DataError("measuring needs text, and the spec names no `data`: --data 'files { paths = [\"a.txt\"] }'")
    watcher = progress or Silence()
    try:
        text = to_measure(
            filled.part("data", Context()), tokenizer, model.context, everything=data is not None, progress=watcher
        )
        found = measure(model, text, compute, progress=watcher)
    finally:
        watcher.end()
    return Evaluation(
        nats=found.nats,
        bits=found.bits,
        xz_bits=text.xz_bits(),
        tokens=found.tokens,
        size=text.size,
        documents=len(text.texts),
        data=filled.data.__component__.name,
        held_out=data is None,
    )
