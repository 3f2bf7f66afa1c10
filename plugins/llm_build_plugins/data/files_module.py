"""Text files as documents. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llm_build import Document
from llm_build_plugins.data._paths import empty, found_files, read_text
from llm_build_plugins.data._shared import Whole

if TYPE_CHECKING:
    from llm_build import Progress
    from llm_build_plugins.data.files_config import files


class Files(Whole):
    """The documents of `paths`, in the order of their names; empty files are left out."""

    config: files

    def documents(self, progress: Progress) -> Sequence[Document]:
        """All of them. Raises `DataError` for a path that matches no file, and where every file is empty."""
        found = found_files(self.config.paths, ".txt")
        documents = [Document(str(file), text) for file in found if (text := read_text(file))]
        if not documents:
            raise empty(found, "text")
        return documents
