"""Which faults of meaning are certain, in a text that was not read with certainty everywhere."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

from llm_build.diagnostics import Diagnostic, Source
from llm_build.language.tree import Doubt

TEXT = "E1"
"""Codes of what is wrong with a text itself, such as a number or an escape, begin so."""


def certain(found: Iterable[Diagnostic], doubts: Mapping[Source, Sequence[Doubt]]) -> list[Diagnostic]:
    """The diagnostics that no doubt covers."""
    if not doubts:
        return list(found)
    covers = {source: _Cover(each) for source, each in doubts.items()}
    return [each for each in found if not (each.span and each.span.source in covers and covers[each.span.source](each))]


class _Cover:
    """Whether a diagnostic begins in a doubt. Statements that were reported do not overlap; guesses are few."""

    def __init__(self, doubts: Sequence[Doubt]) -> None:
        self.guesses = [each for each in doubts if each.structure]
        self.reported = [each for each in doubts if not each.structure]
        self.starts = [each.start for each in self.reported]

    def __call__(self, diagnostic: Diagnostic) -> bool:
        assert diagnostic.span is not None
        start = diagnostic.span.start
        before = bisect_right(self.starts, start) - 1
        if before >= 0 and start < self.reported[before].end:
            return True
        return not diagnostic.code.startswith(TEXT) and any(each.start <= start < each.end for each in self.guesses)
