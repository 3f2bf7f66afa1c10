"""How the split kernel cuts its work, from sizes that never change while a model writes: as an H100 had it fastest, of
what tools/bench/attention.py times."""

from __future__ import annotations

from dataclasses import dataclass

LEAST = 16
"""Tensor cores take no fewer rows, keys or numbers."""
PROGRAMS, BUSY = 256, 32
"""So many programs keep the memory of a GPU busy, and so many need no more of each row."""
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
    programs = rows * kv_heads * -(-queries // block)
    keys, warps, stages = _turn(max(width, v_width), block, itemsize, busy=programs >= BUSY)
    splits = power_of_two(max(1, min((PROGRAMS // 2 if wide else PROGRAMS) // programs, cells // keys, MOST_SPLITS)))
    live = min(power_of_two(queries), block)
    return Tiles(
        rows=block,
        keys=keys,
        splits=splits,
        warps=warps,
        stages=stages,
        joined=live * sum(halves(v_width)) * splits <= TOGETHER,
    )


def _turn(width: int, block: int, itemsize: int, busy: bool) -> tuple[int, int, int]:
    """Keys at a time, warps and stages: what shared memory holds, keys and values being two. `busy`: many programs."""
    if itemsize > 2:
        return min(64, max(LEAST, 2**13 // (power_of_two(width) * itemsize // 2))), 8, 2
    if width > WIDE:
        return (32, 4, 2) if busy else (LEAST, 8, 3)
    return 32, 2 if block == LEAST and width <= WIDE // 2 else 4, 3


def halves(width: int) -> tuple[int, int]:
    """A head's width in two powers of two, padded; the second is 0 for one that needs no second part."""
    whole = max(power_of_two(width), LEAST)
    if width <= WIDE or whole == width:
        return whole, 0
    return whole // 2, max(power_of_two(width - whole // 2), LEAST)


def power_of_two(number: int) -> int:
    """The least power of two that is not less."""
    return 1 << (number - 1).bit_length()
