"""What the probes share: a config with none, one or all of the mistakes goes through a tool, and what it says comes
back as JSON on stdout."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

MISTAKES = (
    "misspelt key",
    "wrong type",
    "missing required field",
    "indivisible heads",
    "unknown component",
    "undefined reference",
    "duplicate key",
    "out-of-range number",
    "wrong nesting",
    "stray comma",
)
"""What each of the configs is seeded with: the same ten, as far as the tool's language can say them."""

OF_FORM = ("undefined reference", "duplicate key", "stray comma")
"""What a parser such as YAML's refuses before any schema is asked."""

Report = Callable[[str, Path], str]
"""(text, an empty folder) → all that the tool says of the text, "" where it takes it."""
Seed = tuple[str, ...]
"""(right, wrong), and lines whose numbers are as good as that of the wrong text: what it stands in."""


def probe(distribution: str, good: str, seeds: Mapping[str, Seed], report: Report) -> None:
    """Print what a tool says of the good config, of each mistake alone, of all, and of all but the comma."""
    assert list(seeds) == list(MISTAKES)
    said = {"good": _said(good, report)}
    for name, seed in seeds.items():
        said[name] = _said(seeded(good, [seed]), report)
    said["all"] = _said(seeded(good, list(seeds.values())), report)
    said["all but the comma"] = _said(seeded(good, [seeds[each] for each in MISTAKES[:-1]]), report)
    said["seven"] = _said(seeded(good, [seeds[each] for each in MISTAKES if each not in OF_FORM]), report)
    lines = {name: _lines(good, seed) for name, seed in seeds.items()}
    version = metadata.version(distribution)
    json.dump({"version": f"{distribution} {version}", "said": said, "lines": lines}, sys.stdout)


def seeded(good: str, seeds: list[Seed]) -> str:
    """The config with mistakes in it."""
    for right, wrong, *_ in seeds:
        assert good.count(right) == 1, right
        good = good.replace(right, wrong)
    return good


def _said(text: str, report: Report) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return report(text, Path(folder))


def _lines(good: str, seed: Seed) -> list[int]:
    """The lines that a report may name: those of the wrong text, and those of the anchors."""
    bad = seeded(good, [seed])
    wrong, *anchors = seed[1:]
    start = bad.index(wrong) if wrong else good.index(seed[0])
    first, last = bad.count("\n", 0, start) + 1, bad.count("\n", 0, start + len(wrong.rstrip())) + 1
    return sorted({*range(first, last + 1), *(bad.count("\n", 0, bad.index(each)) + 1 for each in anchors)})
