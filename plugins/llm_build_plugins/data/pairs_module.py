"""Lines of tab-separated files as pairs. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llm_build import DataError, Document
from llm_build_plugins.data._paths import empty, found_files, read_text
from llm_build_plugins.data._shared import Whole

if TYPE_CHECKING:
    from llm_build import Progress
    from llm_build_plugins.data.pairs_config import pairs

BOM = "\ufeff"
"""What some programs write before the first line of a file in UTF-8."""


class TabbedPairs(Whole):
    """One document a line, named by its file and line, in the order of the files' names and of the lines."""

    config: pairs

    def documents(self, progress: Progress) -> Sequence[Document]:
        """All of them. Raises `DataError` for a path without a file and for a line that is no pair."""
        found = found_files(self.config.paths, ".tsv")
        documents = [pair for file in found for pair in _pairs(file)]
        if not documents:
            raise empty(found, "pairs")
        return documents


def _pairs(file: Path) -> Iterator[Document]:
    # splitlines would also cut at characters that may stand inside a text, such as U+2028
    for number, line in enumerate(read_text(file).removeprefix(BOM).split("\n"), start=1):
        if bare := line.removesuffix("\r"):
            yield _pair(f"{file}:{number}", bare)


def _pair(name: str, line: str) -> Document:
    parts = line.split("\t")
    if len(parts) != 2:
        tabs = f"{len(parts) - 1} tabs" if len(parts) > 1 else "no tab"
        raise DataError(f"{name} must hold a source, one tab and a target; it has {tabs}: {_shown(line)}")
    source, target = parts
    for side, text in (("source", source), ("target", target)):
        if not text.strip():
            raise DataError(f"{name} must hold a source and a target; its {side} is empty: {_shown(line)}")
    return Document(name, target, source=source)


def _shown(line: str) -> str:
    return repr(line if len(line) <= 60 else f"{line[:60]}…")
