"""Text files as documents. Torch-free."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llm_build import DataError, Document
from llm_build_plugins.data._shared import split

if TYPE_CHECKING:
    from llm_build import Context, Progress
    from llm_build_plugins.data.files_config import files


class Files:
    """The documents of `paths`, in the order of their names; empty files are left out."""

    def __init__(self, config: files, context: Context) -> None:
        self.config = config

    def split(self, progress: Progress) -> tuple[Sequence[Document], Sequence[Document]]:
        """(training, held-out). Raises `DataError` for a path that matches no file, and where every file is empty."""
        # a link to a folder above would bring every file many times
        named = {file.resolve(): file for pattern in reversed(self.config.paths) for file in _matches(pattern)[::-1]}
        found = sorted(named.values())
        documents = [Document(str(file), text) for file in found if (text := read_text(file))]
        if not documents:
            raise DataError(f"training needs text; {_listed(found)} empty: fill it, or name other files in `paths`")
        return split(documents, self.config.held_out, self.config.seed)


def read_text(file: Path) -> str:
    """The text of a file, byte for byte as it stands. Raises `DataError` where it is not UTF-8 or cannot be read."""
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as fault:
        byte = fault.object[fault.start]
        raise DataError(
            f"{file} must be UTF-8 text; byte {fault.start} is 0x{byte:02x}: convert it, or leave it out of `paths`"
        ) from fault
    except OSError as fault:
        raise DataError(f"{file} cannot be read: {fault.strerror}") from fault


def _matches(pattern: str) -> list[Path]:
    if Path(pattern).is_file():  # its name may hold what a pattern would read otherwise
        return [Path(pattern)]
    found = [Path(each) for each in glob.glob(pattern, recursive=True)]  # noqa: PTH207 (a pattern may be absolute)
    files = [each for each in found if each.is_file()]
    if files:
        return files
    if any(each.is_dir() for each in found):
        raise DataError(f'`paths` names files; {pattern} is a folder: write "{pattern.rstrip("/")}/**/*.txt"')
    raise DataError(f"`paths` must name files that exist; nothing matches {Path(pattern).absolute()}")


def _listed(found: Sequence[Path]) -> str:
    return f"{found[0]} is" if len(found) == 1 else f"all {len(found)} files are"
