"""Data and tokenizer → corpus: split by document, fit on the training text alone, tokenise, make examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import attrs

from llm_build.corpus.contents import Contents
from llm_build.corpus.examples import Examples, HeldOutText
from llm_build.corpus.mixed import Mixed, leaves
from llm_build.corpus.pairs import HeldOutPairs, Pairs, TokenPairs
from llm_build.corpus.store import Tokens, cache_folder, tokenised
from llm_build.corpus.windows import HeldOut, Windows
from llm_build.document import Document
from llm_build.errors import DataError
from llm_build.interfaces import Data, Tokenizer
from llm_build.progress import Progress, Silence


@attrs.frozen
class Corpus:
    """What a model is trained on, and what it is measured on; `paired`: each example has a source.

    `contents` says what text that is: of "training" and of "held out".
    """

    train: Examples
    held_out: HeldOutText
    contents: Mapping[str, Contents]
    paired: bool = False


def prepare(
    data: Data,
    tokenizer: Tokenizer,
    context: int,
    seed: int,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """The corpus of some data for a model that reads `context` tokens; a tokenizer without a vocabulary is fitted.

    `seed` decides the order of the examples; the tokens are kept in `folder` (`cache_folder()`). Raises `DataError`
    where the text is missing, empty or shorter than one window, and for a pair longer than the context.
    """
    parts, shares = zip(*leaves(data), strict=True)
    sides = [each.split(progress or Silence()) for each in parts]
    training, held_out = [list(chain.from_iterable(side)) for side in zip(*sides, strict=True)]
    if not training or not held_out:
        raise DataError("data must give training and held-out documents; one of the two is empty")
    _refuse_leak(sides)
    paired = _all_paired([*training, *held_out])
    tokenizer.fit(_texts(training))
    make = _Making(tokenizer, context, seed, folder or cache_folder(), paired)
    held = make.held_out(held_out)
    contents = {"training": Contents.of(train for train, _ in sides), "held out": Contents.of([held_out])}
    if len(parts) == 1:
        return Corpus(make.examples(training), held, contents, paired)
    made = [make.examples(train, f"part {number} of the mixture") for number, (train, _) in enumerate(sides, start=1)]
    return Corpus(Mixed(made, shares, tokenizer.pad or 0), held, contents, paired)


def to_measure(
    data: Data,
    tokenizer: Tokenizer,
    context: int,
    *,
    everything: bool = False,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> HeldOutText:
    """What some data holds out, or `everything` in it, for a model and a tokenizer that are trained.

    Raises `DataError` as `prepare` does.
    """
    watcher = progress or Silence()
    documents = list(data.documents(watcher) if everything else _held_out(data, watcher))
    if not documents:
        raise DataError("data must give a document to measure on; it gives none")
    return _Making(tokenizer, context, 0, folder or cache_folder(), _all_paired(documents)).held_out(documents)


def _held_out(data: Data, progress: Progress) -> Iterator[Document]:
    for part, _ in leaves(data):
        yield from part.split(progress)[1]


@attrs.frozen
class _Making:
    """From documents to what is read of them."""

    tokenizer: Tokenizer
    context: int
    seed: int
    folder: Path
    paired: bool

    def examples(self, documents: Sequence[Document], what: str = "the training text") -> Examples:
        if self.paired:
            return Pairs(self._pairs(documents), self.seed)
        return Windows(tokenised(documents, self.tokenizer, self.folder), self.context, self.seed, what)

    def held_out(self, documents: Sequence[Document]) -> HeldOutText:
        texts = [each.text for each in documents]
        if self.paired:
            held: HeldOutText = HeldOutPairs(self._pairs(documents), texts, [each.key for each in documents])
        else:
            tokens = tokenised(documents, self.tokenizer, self.folder)
            held = HeldOut(tokens, self.context, texts, _size(texts, tokens, self.tokenizer))
        if held.targets == 0 or held.size <= 0:
            raise DataError("held-out text must have a token to predict; give more text, or a larger held_out share")
        return held

    def _pairs(self, documents: Sequence[Document]) -> TokenPairs:
        return TokenPairs.make(documents, self.tokenizer, self.context, self.folder)


def _texts(documents: Sequence[Document]) -> Iterator[str]:
    for each in documents:
        if each.source is not None:
            yield each.source
        yield each.text


def _all_paired(documents: Sequence[Document]) -> bool:
    kinds = {each.source is not None for each in documents}
    if len(kinds) > 1:
        plain = next(each.name for each in documents if each.source is None)
        raise DataError(f"either every document has a source or none has; {plain} has none, others have one")
    return kinds == {True}


def _refuse_leak(sides: Sequence[tuple[Sequence[Document], Sequence[Document]]]) -> None:
    """What a part cuts in two may stand in no other part: whole, it would hold both pieces; cut, perhaps elsewhere."""
    trained = {each.key for training, _ in sides for each in training}
    cut = [{each.whole for each in training if each.whole is not None} for training, _ in sides]
    names = set[str]()
    for part, (_, held_out) in enumerate(sides):
        elsewhere = set[str]().union(*cut[:part], *cut[part + 1 :])
        for each in held_out:
            if any(text in trained or text in elsewhere for text in (each.key, each.whole)):
                names.add(each.name)
    if names:
        raise DataError(
            f"a document must not be trained on and held out too: {', '.join(sorted(names)[:5])}. Take it out of one "
            "of the sources of text; a pair is the same as another where their sources are"
        )


def _size(texts: Sequence[str], tokens: Tokens, tokenizer: Tokenizer) -> int:
    """The bytes that the targets stand for: all of them, as [eos] stands before the first document, if there is one."""
    whole = sum(len(text.encode()) for text in texts)
    if tokenizer.eos is not None or len(tokens) == 0:
        return whole
    return whole - len(tokenizer.decode([int(tokens[0])]).encode())
