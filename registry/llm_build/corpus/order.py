"""The order of training examples: a pure function of (seed, epoch, index), so its state is one integer.

A Feistel network over the smallest even number of bits that holds `count` is a permutation whatever its round function;
values beyond `count` are sent through it again until they land inside ("cycle walking", Black and Rogaway 2002). It
needs no memory, and no other index has to be drawn before this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

ROUNDS = 6

Indices = NDArray[np.uint64]


def order(seed: int, epoch: int, index: Indices, count: int) -> Indices:
    """Which of `count` examples stands at each index [N] of an epoch; over all of them, a permutation."""
    half = np.uint64(max(1, ((count - 1).bit_length() + 1) // 2))
    keys = _keys(seed, epoch)
    found = _permuted(index.astype(np.uint64), half, keys)
    while (outside := found >= count).any():
        found[outside] = _permuted(found[outside], half, keys)
    return found


def drawn(seed: int, count: int, position: int, rows: int) -> Iterator[int]:
    """Which of `count` examples are the next `rows`, where `position` were drawn before; epochs follow each other."""
    places = np.arange(position, position + rows, dtype=np.uint64)
    epochs = places // np.uint64(count)
    for epoch in np.unique(epochs):
        inside = places[epochs == epoch] % np.uint64(count)
        yield from order(seed, int(epoch), inside, count).tolist()


def _keys(seed: int, epoch: int) -> Indices:
    digest = sha256(f"{seed}/{epoch}".encode()).digest() + sha256(f"{epoch}\\{seed}".encode()).digest()
    return np.frombuffer(digest, dtype="<u8")[:ROUNDS].astype(np.uint64)


def _permuted(values: Indices, half: np.uint64, keys: Indices) -> Indices:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right ^ key) & mask)
    return (left << half) | right


def _mixed(values: Indices) -> Indices:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): each bit of the input moves each bit of the output."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
