"""What `fmt` makes of 3,000 real and drawn specs, most with faults, all with their white space changed at random.

Counts the texts that a second formatting changes again, and those that lose a token or a comment; both must be 0. Run
`python tools/bench/fmt.py`.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

sys.path.insert(0, str(Path(__file__).parents[2]))

from _measure import finish, machine
from llm_build.language.formatter import format_text
from llm_build.language.scanner import kept
from tests.language.perturbing import texts

TEXTS = 3_000


class Counts:
    """What came of the texts that were drawn."""

    def __init__(self) -> None:
        self.texts = self.characters = self.changed = self.unstable = self.lossy = 0
        self.seconds = 0.0

    def take(self, text: str) -> None:
        start = time.process_time()
        made = format_text(text)
        self.seconds += time.process_time() - start
        self.texts += 1
        self.characters += len(text)
        self.changed += made != text
        self.unstable += format_text(made) != made
        self.lossy += solid(made) != solid(text) or list(kept(made)) != list(kept(text))


def solid(text: str) -> str:
    return re.sub(r"\s", "", text)


def main() -> None:
    counts = Counts()

    @settings(
        max_examples=TEXTS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(texts())
    def draw(text: str) -> None:
        counts.take(text)

    draw()
    machine("hypothesis")
    length = counts.characters / counts.texts
    print(f"{counts.texts:_} texts of {length:.0f} characters, {counts.changed:_} of them not in the style")
    print(f"unstable: {counts.unstable}, with tokens lost: {counts.lossy}")
    print(f"{counts.characters / counts.seconds / 1e3:.0f} thousand characters a second")
    finish(counts.texts >= TEXTS, counts.unstable == 0, counts.lossy == 0)


if __name__ == "__main__":
    main()
