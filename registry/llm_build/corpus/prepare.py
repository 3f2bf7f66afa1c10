"""Data and tokenizer → corpus: split by document, fit on the training text alone, tokenise, cut into windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from llm_build.corpus.store import Tokens, cache_folder, tokenised
from llm_build.corpus.windows import HeldOut, Windows
from llm_build.document import Document
from llm_build.errors import DataError
from llm_build.interfaces import Data, Tokenizer
from llm_build.progress import Progress, Silence


@attrs.frozen
class Corpus:
    """What a model is trained on, and what it is measured on."""

    train: Windows
    held_out: HeldOut


def prepare(
    data: Data,
    tokenizer: Tokenizer,
    context: int,
    seed: int,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """The corpus of some data for a model that reads `context` tokens; a tokenizer without a vocabulary is fitted.

    `seed` decides the order of the windows; the tokens are kept in `folder` (`cache_folder()`). Raises `DataError`
    where the text is missing, empty or shorter than one window.
    """
    training, held_out = data.split(progress or Silence())
    _refuse_leak(training, held_out)
    tokenizer.fit(each.text for each in training)
    place = folder or cache_folder()
    held = tokenised(held_out, tokenizer, place)
    texts = [each.text for each in held_out]
    size = _size(texts, held, tokenizer)
    if len(held) < 2 or size <= 0:
        raise DataError("the held-out text must have a token to predict; give more text, or a larger held_out share")
    return Corpus(
        train=Windows(tokenised(training, tokenizer, place), context, seed),
        held_out=HeldOut(held, context, texts, size),
    )


def _refuse_leak(training: Sequence[Document], held_out: Sequence[Document]) -> None:
    if not training or not held_out:
        raise DataError("data must give training and held-out documents; one of the two is empty")
    both = {each.text for each in training} & {each.text for each in held_out}
    if both:
        names = sorted(each.name for each in held_out if each.text in both)
        raise DataError(f"a document must not be trained on and held out too: {', '.join(names[:5])}")


def _size(texts: Sequence[str], tokens: Tokens, tokenizer: Tokenizer) -> int:
    """The bytes that the targets stand for: all of them, as [eos] stands before the first document, if there is one."""
    whole = sum(len(text.encode()) for text in texts)
    if tokenizer.eos is not None or len(tokens) == 0:
        return whole
    return whole - len(tokenizer.decode([int(tokens[0])]).encode())
