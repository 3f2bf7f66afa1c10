"""How the split kernel cuts its work, from sizes that never change while a model writes. tools/bench/attention.py times
others."""

from __future__ import annotations

from dataclasses import dataclass

LEAST = 16
"""Tensor cores take no fewer rows, keys or numbers."""
PROGRAMS = 512
"""So many programs keep the memory of a GPU busy."""
MOST_SPLITS = 32
WIDE = 256
"""A head that is wider is read in two parts, where padding it to a power of two would waste much."""
TOGETHER = 2**15
"""So many numbers of all shares one program sums by itself; more are summed by a second kernel, head by head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """`rows` queries and `keys` keys a program and turn, `splits` shares of the keys, and the launch's own settings.

    `joined`: shares are summed by the program that finishes last, without a second launch.
    """

    rows: int
    keys: int
    splits: int
    warps: int
    stages: int
    joined: bool


def tiles_for(rows: int, kv_heads: int, queries: int, width: int, v_width: int, cells: int, itemsize: int) -> Tiles:
    """For `rows` rows with `queries` queries of each key head, heads of two widths, and at most `cells` keys."""
    wide = max(width, v_width) > WIDE
    block = min(max(power_of_two(queries), LEAST), 32 if wide else 64)
    keys = _keys(max(width, v_width), itemsize)
    programs = rows * kv_heads * -(-queries // block)
    shares = cells // keys
    splits = power_of_two(max(1, min(PROGRAMS // programs, shares, MOST_SPLITS)))
    live = min(power_of_two(queries), block)
    return Tiles(
        rows=block,
        keys=keys,
        splits=splits,
        warps=8 if wide or itemsize > 2 else 4,
        stages=2 if wide or itemsize > 2 else 3,
        joined=live * sum(halves(v_width)) * splits <= TOGETHER,
    )


def _keys(width: int, itemsize: int) -> int:
    """As many keys at a time as shared memory holds of two stages and more."""
    return min(64, max(LEAST, 2**13 // (power_of_two(width) * itemsize // 2)))


def halves(width: int) -> tuple[int, int]:
    """A head's width in two powers of two, padded; the second is 0 for one that needs no second part."""
    whole = max(power_of_two(width), LEAST)
    if width <= WIDE or whole == width:
        return whole, 0
    return whole // 2, max(power_of_two(width - whole // 2), LEAST)


def power_of_two(number: int) -> int:
    """The least power of two that is not less."""
    return 1 << (number - 1).bit_length()
