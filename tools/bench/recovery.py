"""How many seeded syntax faults are reported in one run, and how many reports nothing was seeded for.

Run `python tools/bench/recovery.py [--files 2000] [--seed 0]`. A file is a spec of specs/ or tests/specs, or one that
hypothesis draws (tests/language/strategies.py), with one to five faults of the kinds of tests/language/seeding.py, at
most one a statement: a field inside braces is a statement of its own. A change that leaves the text sound is no fault
and is drawn again. A fault counts as found if one report has a code of its kind and its line: that of the bracket which
is never closed, or of what was changed. Each report counts for one fault; whatever is left over, of syntax or of
meaning, is extra.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from pathlib import Path

from _measure import at_least, at_most, finish, machine
from llm_build.diagnostics import Source, render
from llm_build.resolve import read

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.language.drawing import sound_specs  # noqa: E402
from tests.language.seeding import KINDS, Sound, extra_and_missed  # noqa: E402

RECALL = 1.0
EXTRA = 0.5


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=2_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--show", type=int, default=0, help="show so many files that fall short")
    given = options.parse_args()
    machine("lark")
    draw = random.Random(given.seed)
    specs = [Sound(text) for text in sound_specs(ROOT, given.seed)]
    seeded: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    extra: Counter[str] = Counter()
    shown = files = 0
    while files < given.files:
        broken = draw.choice(specs).broken(draw.choices(KINDS, k=draw.randint(1, 5)), draw)
        if not broken.seeds:
            continue
        files += 1
        reading = read(Source("seeded.llm", broken.text))
        left, lost = extra_and_missed(broken, reading.errors)
        seeded.update(kind for kind, _ in broken.seeds)
        missed.update(kind for kind, _ in lost)
        extra.update(each.code for each in left)
        if (left or lost) and shown < given.show:
            shown += 1
            print(broken.text, "seeded:", broken.seeds, "\nmissed:", lost, "\nextra:", render(left), sep="\n")
    print(f"{files:_} files of {len(specs)} specs, {seeded.total():_} faults, seed {given.seed}")
    for kind in KINDS:
        print(f"  {kind:<22} {seeded[kind]:>6_} seeded   recall {1 - missed[kind] / max(seeded[kind], 1):.4f}")
    print("  extra reports by code:", dict(sorted(extra.items())) or "none")
    recall, more = 1 - missed.total() / seeded.total(), extra.total() / files
    finish(at_least("recall", recall, RECALL), at_most("extra reports a file", more, EXTRA))


if __name__ == "__main__":
    main()
