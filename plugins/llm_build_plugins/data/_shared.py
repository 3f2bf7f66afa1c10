"""What data components share: the split into training and held-out documents. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from llm_build import DataError, Document, Problem, Share

if TYPE_CHECKING:
    from llm_build import Context, Progress


def split(documents: Sequence[Document], held_out: Share, seed: int) -> tuple[list[Document], list[Document]]:
    """(training, held-out): whole documents, drawn by a hash of (seed, key) until the share of the text is reached.

    Documents with the same key (the text, or the source of a pair) stay on one side, whatever they are called, and each
    side has at least one. A single text is cut in two, at the end of a line where one is near, its last part held out.
    """
    groups: dict[str, list[Document]] = {}
    for each in documents:
        groups.setdefault(each.key, []).append(each)
    if len(groups) == 1:
        return _cut(documents[0], held_out)
    held = _drawn(groups, held_out, seed)
    return [each for each in documents if each.key not in held], [each for each in documents if each.key in held]


class Whole(ABC):
    """Data of whole documents, of which `held_out` and `seed` of its config say what is never trained on."""

    def __init__(self, config: Any, context: Context) -> None:
        self.config = config

    @abstractmethod
    def documents(self, progress: Progress) -> Sequence[Document]:
        """All of them. Raises `DataError` where there is nothing to read."""

    def split(self, progress: Progress) -> tuple[Sequence[Document], Sequence[Document]]:
        """(training, held-out). Raises `DataError` as `documents` does, and where nothing can be held out."""
        return split(self.documents(progress), self.config.held_out, self.config.seed)


def check_held_out(held_out: Share) -> Iterator[Problem]:
    """A share of 0% or 100% would leave one side without text."""
    if not 0 < held_out.fraction < 1:
        yield Problem(
            field="held_out",
            message=f"held_out must lie between 0% and 100%, both excluded; {held_out} arrived",
            help="write held_out = 5%",
        )


def _drawn(groups: dict[str, list[Document]], held_out: Share, seed: int) -> set[str]:
    """The keys of what is held out: at least one, and never the last."""
    sizes = {key: sum(_size(each) for each in group) for key, group in groups.items()}
    left = held_out.fraction * sum(sizes.values())
    held: set[str] = set()
    for key in sorted(groups, key=lambda key: sha256(f"{seed}\n{key}".encode()).digest())[:-1]:
        if left <= 0:
            break
        held.add(key)
        left -= sizes[key]
    return held


def _size(document: Document) -> int:
    return len(document.text) + len(document.source or "")


def _cut(document: Document, held_out: Share) -> tuple[list[Document], list[Document]]:
    if document.source is not None:
        raise DataError(
            f"pairs must have two different sources at least, one to train on and one to hold out; all of them have "
            f"that of {document.name}: give other pairs"
        )
    text = document.text
    at = round((1 - held_out.fraction) * len(text))
    # unless that is far: what is held out at most doubles, and what is trained on at most halves
    at = text.rfind("\n", max(at // 2, 2 * at - len(text)), at) + 1 or at
    if not 0 < at < len(text):
        raise DataError(f"{document.name} must be long enough to hold some of it out; it has {len(text)} characters")
    if text[:at] == text[at:]:
        raise DataError(f"{document.name} repeats itself, so none of it can be held out: give other text")
    return (
        [Document(document.name, text[:at], whole=text)],
        [Document(f"{document.name} (held out)", text[at:], whole=text)],
    )
