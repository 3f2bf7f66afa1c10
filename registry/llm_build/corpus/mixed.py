"""Examples of several parts in given proportions. Legend: P parts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from llm_build.corpus.batch import Batch
from llm_build.corpus.examples import Example, Examples, collate
from llm_build.interfaces import Data, Mixture


class Mixed:
    """Draws from P parts by `shares`, each part in its own drawn order through its own epochs.

    Which part an example comes from depends on its position alone. An epoch has as many examples as all parts together:
    a part whose share is larger than its size is then read more than once, and another not to its end.
    """

    def __init__(self, parts: Sequence[Examples], shares: Sequence[Fraction], fill: int = 0) -> None:
        self.parts, self.fill = parts, fill
        unit = math.lcm(*(each.denominator for each in shares))
        self.weights = [int(each * unit) for each in shares]
        self.count = sum(each.count for each in parts)

    def batch(self, position: int, rows: int) -> Batch:
        """The next `rows` examples, where `position` examples were read before."""
        return collate(self.draw(position, rows), self.fill)

    def draw(self, position: int, rows: int) -> Sequence[Example]:
        """The same examples, one by one."""
        counts = [apportioned(self.weights, place) for place in range(position, position + rows + 1)]
        streams = [
            iter(part.draw(first, last - first))
            for part, first, last in zip(self.parts, counts[0], counts[-1], strict=True)
        ]
        return [next(streams[_raised(before, after)]) for before, after in pairwise(counts)]


def apportioned(weights: Sequence[int], draws: int) -> list[int]:
    """[P] how many of the first `draws` fall to each part, exact after every `sum(weights)` and never far off between.

    The first part takes its share, rounded to the nearest; the others share what is left in the same way. Each further
    draw adds one to one of them (a line of Bresenham 1965, once a part), in whole numbers, so that nothing is lost to
    rounding however long training is.
    """
    left, whole, found = draws, sum(weights), []
    for weight in weights:
        own = (2 * left * weight + whole) // (2 * whole)
        found.append(own)
        left, whole = left - own, whole - weight
    return found


def leaves(data: Data, share: Fraction = Fraction(1)) -> Iterator[tuple[Data, Fraction]]:
    """The parts of some data that are no mixtures themselves, in order, and the share of each; together 1."""
    if not isinstance(data, Mixture):
        yield data, share
        return
    whole = sum(Fraction(each) for each in data.weights)
    for part, weight in zip(data.parts, data.weights, strict=True):
        yield from leaves(part, share * Fraction(weight) / whole)


def _raised(before: Sequence[int], after: Sequence[int]) -> int:
    return next(index for index, (low, high) in enumerate(zip(before, after, strict=True)) if high > low)
