"""How many prompts are read, and how many rows are written, in one call. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence

PROMPTS = 4
"""Prompts of a whole chunk that one call reads: it bounds what a call takes of memory, and how long writing waits."""
FEW = 256
"""So many tokens take a GPU no longer than one does, so padding among them costs nothing."""


def together(lengths: Sequence[int], chunk: int) -> int:
    """How many of these prompts, of which so many tokens are left, are read together: the first of them, at least one.

    One call takes at most `chunk` tokens of each and PROMPTS chunks in all, and no more than a quarter of it is padding
    unless its tokens are FEW.
    """
    width = real = 0
    for taken, length in enumerate(lengths):
        width, real = max(width, min(length, chunk)), real + min(length, chunk)
        total = width * (taken + 1)
        if taken and (total > PROMPTS * chunk or (total > FEW and 4 * real < 3 * total)):
            return taken
    return len(lengths)


def bucket(rows: int, most: int) -> int:
    """The next of 1, 2, 4 … 64, 96, 128, 192 … rows, at most `most`: few sizes, so that few graphs are captured."""
    power = 1
    while power < rows:
        power *= 2
    half = power // 4 * 3
    return min(most, half if power > 64 and rows <= half else power)
