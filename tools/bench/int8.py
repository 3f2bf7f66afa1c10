"""What weights of a byte cost: bits a byte of a run as it was trained, and as `quantizer = int8` writes with it.

Run `python tools/bench/int8.py RUN`; `tools/demo` leaves one at runs/quickstart-1. The texts are those that the run's
data holds out. It counts how many tokens two greedy texts have in common, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from _measure import at_most, finish, machine
from llm_build import load, open_run
from llm_build.run import Run, RunDirectory

BAR = 1.01
NEW = 128


def opened(run: str, *changes: str) -> Run:
    """The run as `eval` opens it, its spec changed for this once."""
    taken = RunDirectory.existing(run).checkpoints.take()
    return open_run(run, config=load(taken.spec, changes), narrow=False)


def greedy(run: str, *changes: str) -> Sequence[int | None]:
    """The tokens that the run writes behind its own prompt."""
    writer = opened(run, "generate.sampler=greedy", *changes)
    return [each.token for each in writer.stream([None], max_new=NEW)]


def main() -> None:
    (run,) = sys.argv[1:]
    as_trained = opened(run, "generate.quantizer=int8")
    before, after = as_trained.evaluate(), as_trained.quantised().evaluate()
    machine("torch")
    print(f"{run}: {before.tokens:_} held-out tokens, {os.environ.get('OMP_NUM_THREADS', 'all')} threads")
    print(f"as trained {before.bits:.5f} bits a byte, int8 {after.bits:.5f}")
    ours, theirs = greedy(run, "generate.quantizer=int8"), greedy(run)
    same = next(
        (place for place, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), len(theirs)
    )
    print(f"greedy texts have their first {same} of {len(theirs)} tokens in common")
    finish(at_most("int8 / as trained, bits a byte", after.bits / before.bits, BAR))


if __name__ == "__main__":
    main()
