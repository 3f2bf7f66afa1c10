"""Data made of other data. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING

from llm_build import Document

if TYPE_CHECKING:
    from llm_build import Context, Progress
    from llm_build.interfaces import Data
    from llm_build_plugins.data.mixture_config import mixture


class DataMixture:
    """`parts` and, for each, how much is drawn of it. A weight is the decimal number that the spec has, exactly."""

    def __init__(self, config: mixture, context: Context) -> None:
        self.parts: Sequence[Data] = config.parts("of", context)
        weights = config.weights or (1.0,) * len(self.parts)
        self.weights = [Fraction(repr(each)) for each in weights]

    def documents(self, progress: Progress) -> Sequence[Document]:
        """Those of all parts, one after the other. Raises what they raise."""
        return list(chain.from_iterable(each.documents(progress) for each in self.parts))

    def split(self, progress: Progress) -> tuple[Sequence[Document], Sequence[Document]]:
        """(training, held-out) of all parts, one after the other. Raises what they raise."""
        sides = [each.split(progress) for each in self.parts]
        training, held_out = zip(*sides, strict=True)
        return list(chain(*training)), list(chain(*held_out))
