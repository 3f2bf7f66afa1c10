"""The fenced blocks of a page of Markdown, which tests run."""

from __future__ import annotations

import re
from typing import NamedTuple


class Fence(NamedTuple):
    """A fenced block, with the comment that stands right above it."""

    note: str
    language: str
    file: str
    text: str


def fences_of(page: str) -> list[Fence]:
    """Every fenced block of a page, in order."""
    found = re.findall(r"(?:<!-- test: (.*?) -->\n)?```(\w+)(?: file=(\S+))?\n(.*?)```", page, re.DOTALL)
    return [Fence(note or "", language, file or "", text) for note, language, file, text in found]


def commands_of(fence: Fence) -> list[tuple[str, str]]:
    """Each command of a console block with the output that stands below it, if any does."""
    split = (part.partition("\n") for part in fence.text.split("$ ")[1:])
    return [(line, output) for line, _, output in split]
