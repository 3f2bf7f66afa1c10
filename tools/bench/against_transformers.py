"""Writing against transformers' `generate` with the same weights: static cache and compiled on a GPU, eager on a CPU.

Both sides sample among the likeliest 200 behind a prompt of 128, 256 new tokens in a batch of 1, weights in one dtype.
New tokens a second count the prompt's time too; compiling and the first text are left out. Run
`python tools/bench/against_transformers.py --shape 1b|8b|125m [--device cuda] [--mode capture]`, with transformers
installed; on a CPU with OMP_NUM_THREADS=4.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from typing import Any

import torch

from _llama import llama_of, refuse_difference
from _measure import alternate, at_least, finish, show
from _sides import NEW, PROMPT, Side, arguments, begin, side
from llm_build.bench.clock import seconds
from llm_build.run import Compute

BARS = {("1b", "cuda"): 2.2, ("8b", "cuda"): 1.6, ("125m", "cpu"): 1.2}
TOP_K = 200
WARM_UPS = 3
"""Texts of theirs before any counts: the first compiles, the second records its graphs."""


def their_rate(theirs: Any, one: Side, compute: Compute, batch: int) -> Callable[[], float]:
    """New tokens a second of `generate`, as its documentation says to be fastest."""
    tokens = torch.tensor([one.tokenizer.encode(each) for each in one.prompts], device=compute.device)
    options = {"cache_implementation": "static"} if compute.device.type == "cuda" else {}
    config = theirs.generation_config
    config.do_sample, config.top_k, config.top_p, config.temperature = True, TOP_K, 1.0, 1.0

    def text() -> None:
        made = theirs.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=NEW, **options)
        assert made.shape == (batch, PROMPT + NEW), f"{NEW} new tokens must come; there are {made.shape[1] - PROMPT}"

    return lambda: NEW * batch / seconds(text, compute.device)


def main() -> None:
    args = arguments(__doc__, shapes=("1b", "8b", "125m")).parse_args()
    compute = begin(args, "transformers")
    one = side(args.shape, compute, 1.0, mode=args.mode, tiny=args.tiny)
    theirs = llama_of(one.model, compute.device)
    sample = torch.tensor([one.tokenizer.encode(each) for each in one.prompts], device=compute.device)
    refuse_difference(one.model, theirs, sample)
    rate = their_rate(theirs, one, compute, len(one.prompts))
    for _ in range(WARM_UPS):
        rate()
    one.write()
    ours, others = alternate(one.whole_rate, rate)
    busy = f"; load {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores" if compute.device.type == "cpu" else ""
    print(f"prompt {PROMPT}, {NEW} new tokens, batch 1, top-k {TOP_K}{busy}")
    show(one.name, ours, "tokens/s", 1)
    show("transformers' generate", others, "tokens/s", 1)
    ratio = statistics.median(ours) / statistics.median(others)
    bar = BARS.get((args.shape, compute.device.type))
    finish(*([] if bar is None or args.tiny else [at_least("ours / transformers", ratio, bar)]))


if __name__ == "__main__":
    main()
