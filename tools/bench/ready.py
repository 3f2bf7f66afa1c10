"""How soon a fresh process writes: seconds from weights to the first token, and to where nothing more is made ready.

Ready is the token behind which steps keep their pace. `cold` finds an empty cache folder, `warm` what `cold` left.
Random weights, a prompt of 128, the likeliest 200 sampled. Run `python tools/bench/ready.py`:

    --shapes 1b,8b          tools/bench/shapes
    --modes capture,compile
                            capture: as the kernels are, on a GPU as a graph; compile: through inductor first
    --set key=value         changes the shapes, as --set of the verbs does; several may be given
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise

from _measure import at_most, finish
from _sides import PROMPT, arguments, begin, side
from llm_build.bench.clock import compiling, now
from llm_build.bench.shapes import Shape
from llm_build.run import Compute

NEW, SETTLING = 160, 64
SLOW = 4.0
"""A step that takes so many medians of the later ones is one in which something is made ready."""
FIRST, BARS = 10.0, {"cold": 60.0, "warm": 15.0}
"""Seconds to the first token where kernels are captured, and to ready where they are compiled."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--shapes", default="1b,8b")
    parser.add_argument("--modes", default="capture,compile")
    parser.add_argument("--set", action="append", default=[], dest="sets")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(args)))
        return
    begin(args)
    verdicts = [
        verdict
        for shape in args.shapes.split(",")
        for mode in args.modes.split(",")
        for verdict in in_fresh_processes(shape, mode, args)
    ]
    finish(*([] if args.tiny else verdicts))


def in_fresh_processes(shape: str, mode: str, args: argparse.Namespace) -> list[bool]:
    """The bars of a shape in a mode."""
    verdicts = []
    line = [sys.executable, __file__, "--one", shape, "--mode", mode, "--device", args.device, "--dtype", args.dtype]
    line += ["--tiny"] * args.tiny + [word for each in args.sets for word in ("--set", each)]
    with tempfile.TemporaryDirectory() as folder:
        surroundings = {**os.environ, "LLM_BUILD_CACHE": folder, "TRITON_CACHE_DIR": f"{folder}/triton"}
        surroundings.pop("TORCHINDUCTOR_CACHE_DIR", None)
        for state in ("cold", "warm"):
            said = subprocess.run(line, env=surroundings, stdout=subprocess.PIPE, text=True, check=True).stdout
            found = json.loads(said.splitlines()[-1])
            name = f"{shape}, {mode}, {state}"
            print(
                f"{name}: first token {found['first']:.1f} s, ready {found['ready']:.1f} s, later stops "
                f"{found['later']:.1f} s, of it torch.compile {found['compile']:.1f} s; {found['rate']:.0f} tokens/s "
                f"then; weights took {found['weights']:.1f} s before",
                flush=True,
            )
            bar = {"first": FIRST} if mode == "capture" else {"ready": BARS[state]}
            verdicts += [at_most(f"{name}, {what}", found[what], most, " s") for what, most in bar.items()]
    return verdicts


def one(args: argparse.Namespace) -> dict[str, float]:
    """What a fresh process takes, in seconds."""
    compute = Compute.choose(args.device, args.dtype)
    begun, shape = now(compute.device), Shape(prompt=PROMPT, new=NEW, batch=1)
    made = side(args.one, compute, 1.0, mode=args.mode, tiny=args.tiny, shape=shape, sets=args.sets)
    loaded, came = now(compute.device), []
    with compiling() as compiled:
        for piece in made.bench.generator.generate(made.model, made.tokenizer, made.prompts, max_new=NEW):
            if piece.token is not None:
                came.append(time.perf_counter() - loaded)
        taken = compiled()
    gaps = [after - before for before, after in pairwise(came)]
    pace = statistics.median(gaps[SETTLING:])
    slow = [place for place, gap in enumerate(gaps) if gap > SLOW * pace]
    settling = [place for place in slow if place < SETTLING]
    return {
        "first": came[0],
        "ready": came[settling[-1] + 1] if settling else came[0],
        "later": sum(gaps[place] for place in slow if place >= SETTLING),
        "compile": taken,
        "rate": 1 / pace,
        "weights": loaded - begun,
    }


if __name__ == "__main__":
    main()
