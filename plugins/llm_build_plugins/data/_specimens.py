"""Small data for the conformance kit to prove these components with. Torch-free."""

from __future__ import annotations

from pathlib import Path

WORDS = ("one", "two", "three", "four", "five", "six", "seven")
COUNT = 9
"""Texts, of which two are the same."""


def texts(about: str) -> list[str]:
    """Texts that differ, but for the second and the last. `about` stands in each."""
    drawn = [f"{about} {number}:\n" + "\n".join(WORDS[number % 5 :] * (1 + number % 3)) for number in range(COUNT - 1)]
    return [*drawn, drawn[1]]


def write_texts(folder: Path, about: str) -> str:
    """Write them into a new folder, a file each, and one file that is empty; gives the glob that names them."""
    place = folder / about
    place.mkdir()
    for number, text in enumerate([*texts(about), ""]):
        (place / f"{number}.txt").write_text(text, encoding="utf-8")
    return f"{place}/*.txt"


def write_pairs(folder: Path, about: str) -> str:
    """Write pairs into a new file, some with the same source; gives its path."""
    lines = [f"{about} {number % (COUNT - 2)}\t{WORDS[number % 7]} {number}\n" for number in range(2 * COUNT)]
    file = folder / f"{about}.tsv"
    file.write_text("".join([*lines, "\n"]), encoding="utf-8")
    return str(file)
