"""Files named by a spec: looked up by path or glob, and read as UTF-8. Torch-free."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from llm_build import DataError


def found_files(paths: Sequence[str], usual: str) -> list[Path]:
    """The files that paths and globs name, each once, in the order of their names; `usual` ends such a name.

    Raises `DataError` for a path that names none.
    """
    # a link to a folder above would bring every file many times
    named = {file.resolve(): file for pattern in reversed(paths) for file in _matches(pattern, usual)[::-1]}
    return sorted(named.values())


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


def empty(files: Sequence[Path], what: str) -> DataError:
    """The fault of files that hold nothing of what training needs."""
    listed = f"{files[0]} is" if len(files) == 1 else f"all {len(files)} files are"
    return DataError(f"training needs {what}; {listed} empty: fill it, or name other files in `paths`")


def _matches(pattern: str, usual: str) -> list[Path]:
    if Path(pattern).is_file():  # its name may hold what a pattern would read otherwise
        return [Path(pattern)]
    found = [Path(each) for each in glob.glob(pattern, recursive=True)]  # noqa: PTH207 (a pattern may be absolute)
    files = [each for each in found if each.is_file()]
    if files:
        return files
    if any(each.is_dir() for each in found):
        raise DataError(f'`paths` names files; {pattern} is a folder: write "{pattern.rstrip("/")}/**/*{usual}"')
    raise DataError(f"`paths` must name files that exist; nothing matches {Path(pattern).absolute()}")
