"""Text files as documents. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llm_build import Document
from llm_build_plugins.data._paths import empty, found_files, read_text
from llm_build_plugins.data._shared import split

if TYPE_CHECKING:
    from llm_build import Context, Progress
    from llm_build_plugins.data.files_config import files


class Files:
    """The documents of `paths`, in the order of their names; empty files are left out."""

    def __init__(self, config: files, context: Context) -> None:
        self.config = config

    def documents(self, progress: Progress) -> Sequence[Document]:
        """All of them. Raises `DataError` for a path that matches no file, and where every file is empty."""
        found = found_files(self.config.paths, ".txt")
        documents = [Document(str(file), text) for file in found if (text := read_text(file))]
        if not documents:
            raise empty(found, "text")
        return documents

    def split(self, progress: Progress) -> tuple[Sequence[Document], Sequence[Document]]:
        """(training, held-out). Raises `DataError` as `documents` does, and where nothing can be held out."""
        return split(self.documents(progress), self.config.held_out, self.config.seed)
