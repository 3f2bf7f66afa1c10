"""What each code means: one page a code, as Markdown beside this file. `check` reads none of them.

A page has a title (`# E304: …`), what is wrong, `## Why`, `## Example` and `## Write instead`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
_CODE = re.compile(r"[EWN][0-9]{3}")
_TITLE = re.compile(r"# (?P<code>[EWN][0-9]{3}): (?P<title>.+)")


@cache
def codes() -> list[str]:
    """Every code that may be said, in order."""
    return sorted(each.stem for each in HERE.glob("*.md"))


def page(code: str) -> str | None:
    """The page of a code ("E304") as Markdown; None where there is no such code."""
    if not _CODE.fullmatch(code):
        return None
    file = HERE / f"{code}.md"
    return file.read_text(encoding="utf-8") if file.is_file() else None


def title(code: str) -> str:
    """The title of a code's page without the code; the code itself where it has no page."""
    match = _TITLE.match(page(code) or "")
    return match["title"] if match else code


def lead(code: str) -> str:
    """The first paragraph of a code's page: what is wrong, on one line. The title where it has no page."""
    paragraphs = (page(code) or "").split("\n\n")
    return " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else title(code)
