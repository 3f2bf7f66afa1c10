"""The text of a Project Gutenberg file. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Sequence

from llm_build import DataError

START = re.compile(r"\*{3}\s*START OF\b")
END = re.compile(r"\*{3}\s*END OF\b")


def book_text(content: bytes) -> str:
    """What stands between the two marker lines: lines without space around them, and none that is empty.

    Raises `DataError` with the reason where the file is no such book.
    """
    lines = [line.strip() for line in _decoded(content).splitlines()]
    start = _first(lines, START, range(len(lines)))
    end = _first(lines, END, range(len(lines) - 1, start, -1))
    kept = [line for line in lines[_after(lines, start) : end] if line]
    if not kept:
        raise DataError("it must have text between its marker lines; there is none")
    return "\n".join(kept)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise DataError(f"it must be UTF-8 text; byte {fault.start} is 0x{content[fault.start]:02x}") from fault


def _first(lines: Sequence[str], marker: re.Pattern[str], order: Sequence[int]) -> int:
    found = next((index for index in order if marker.match(lines[index])), None)
    if found is None:
        name = "START" if marker is START else "END"
        raise DataError(f"it must have the lines `*** START OF …` and `*** END OF …`; there is no `*** {name} OF …`")
    return found


def _after(lines: Sequence[str], start: int) -> int:
    """The line after the first marker. A long title goes on, in the same paragraph, up to the closing asterisks."""
    if lines[start].endswith("***"):
        return start + 1
    for index in range(start + 1, len(lines)):
        if not lines[index]:
            break
        if lines[index].endswith("***"):
            return index + 1
    return start + 1
