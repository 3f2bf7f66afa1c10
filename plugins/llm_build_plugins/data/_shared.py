"""What data components share: the split into training and held-out documents. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import groupby

from llm_build import DataError, Document, Problem, Share


def split(documents: Sequence[Document], held_out: Share, seed: int) -> tuple[list[Document], list[Document]]:
    """(training, held-out): whole documents, drawn by a hash of (seed, text) until the share of the text is reached.

    Documents with the same text stay on one side, whatever they are called, and each side has at least one. A single
    document is cut in two at the end of a line, its last part held out.
    """
    ranked = sorted(documents, key=lambda each: (_rank(each, seed), each.name))
    groups = [list(group) for _, group in groupby(ranked, key=lambda each: _rank(each, seed))]
    if len(groups) == 1:
        return _cut(groups[0][0], held_out)
    wanted = held_out.fraction * sum(len(each.text) for each in documents)
    held: list[Document] = []
    while len(groups) > 1 and (not held or sum(len(each.text) for each in held) < wanted):
        held += groups.pop(0)
    names = {each.name for each in held}
    return [each for each in documents if each.name not in names], [each for each in documents if each.name in names]


def check_held_out(held_out: Share) -> Iterator[Problem]:
    """A share of 0% or 100% would leave one side without text."""
    if not 0 < held_out.fraction < 1:
        yield Problem(
            field="held_out",
            message=f"held_out must lie between 0% and 100%, both excluded; {held_out} arrived",
            help="write held_out = 5%",
        )


def _rank(document: Document, seed: int) -> bytes:
    return sha256(f"{seed}\n{document.text}".encode()).digest()


def _cut(document: Document, held_out: Share) -> tuple[list[Document], list[Document]]:
    text = document.text
    at = round((1 - held_out.fraction) * len(text))
    at = text.rfind("\n", 0, at) + 1 or at
    if not 0 < at < len(text):
        raise DataError(f"{document.name} must be long enough to hold some of it out; it has {len(text)} characters")
    if text[:at] == text[at:]:
        raise DataError(f"{document.name} repeats itself, so none of it can be held out: give other text")
    return [Document(document.name, text[:at])], [Document(f"{document.name} (held out)", text[at:])]
