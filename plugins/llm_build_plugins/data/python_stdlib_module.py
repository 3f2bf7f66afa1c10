"""The running interpreter's library as documents, one a file. Torch-free."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llm_build import DataError, Document
from llm_build_plugins.data._shared import Whole

if TYPE_CHECKING:
    from llm_build import Progress
    from llm_build_plugins.data.python_stdlib_config import python_stdlib

TESTS = frozenset({"test", "tests", "idle_test"})
TABLES = frozenset({"encodings", "pydoc_data", "lib2to3"})
FOREIGN = frozenset({"site-packages", "dist-packages", "__pycache__"})
LEFT_OUT = TESTS | TABLES | FOREIGN


class PythonStdlib(Whole):
    """One document a file, named by its path in the library."""

    config: python_stdlib

    def documents(self, progress: Progress) -> Sequence[Document]:
        """All of them. Raises `DataError` where this Python comes without its source."""
        root = Path(sysconfig.get_path("stdlib"))
        documents = list(_documents(root))
        if len(documents) < 2:
            raise DataError(
                f"python_stdlib needs the library's source files; {root} has none: use a Python that brings them, "
                'or other text: data = files { paths = ["…"] }'
            )
        return documents


def _documents(root: Path) -> Iterator[Document]:
    for file in _sources(root):
        # _sysconfigdata describes how this interpreter was built: a table, and different on every machine
        if not file.name.startswith("_sysconfigdata"):
            text = file.read_text(encoding="utf-8", errors="replace")
            if text:
                yield Document(file.relative_to(root).as_posix(), text)


def _sources(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(each for each in folders if each not in LEFT_OUT)
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))
