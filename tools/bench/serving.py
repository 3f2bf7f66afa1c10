"""Many requests at once: 256 prompts of 100 to 1,024 tokens, as many new ones each, drawn with a seed.

Generated tokens a second, from when the first request is submitted to when the last text is whole: the median of five
rounds behind one that warms up. Run `python tools/bench/serving.py [--shape 1b] [--mode capture] [--cache paged]`.
`--transformers` serves the same requests once by its continuous batching (paged SDPA) with the same weights, which
takes minutes.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from typing import Any

import attrs
import torch

from _measure import REPEATS, at_least, finish, show
from _sides import SHAPES, Side, arguments, begin, side
from llm_build.bench.clock import now
from llm_build.bench.memory import peak
from llm_build.run import Compute

BAR, TIMES = 20_000.0, 10.0
LENGTHS = (100, 1_024)
TINY = (8, 24)
TOP_K = 200


@attrs.frozen
class Wanted:
    """A request: the tokens of its prompt, and how many shall follow."""

    prompt: Sequence[int]
    new: int


def drawn(requests: int, lengths: tuple[int, int], vocab: int, seed: int = 0) -> list[Wanted]:
    chance = random.Random(seed)
    return [
        Wanted([chance.randrange(vocab) for _ in range(chance.randint(*lengths))], chance.randint(*lengths))
        for _ in range(requests)
    ]


def ours(one: Side, wanted: Sequence[Wanted], compute: Compute, capacity: int) -> float:
    """Seconds in which all requests are served through one session."""
    session = one.bench.generator.open(one.model, one.tokenizer, rows=len(wanted), capacity=capacity)
    begun = now(compute.device)
    streams = [
        session.submit(one.tokenizer.decode(each.prompt), max_new=each.new, seed=number)
        for number, each in enumerate(wanted)
    ]
    came = [sum(piece.token is not None for piece in stream) for stream in streams]
    assert came == [each.new for each in wanted], "every text must be as long as was asked for"
    return now(compute.device) - begun


def theirs(one: Side, wanted: Sequence[Wanted], compute: Compute) -> float:
    """Seconds in which transformers' continuous batching serves them, its warm-up left out."""
    from transformers import ContinuousBatchingConfig, GenerationConfig
    from transformers.generation.continuous_batching.utils import WorkloadHints

    from _llama import llama_of, refuse_difference

    model: Any = llama_of(one.model, compute.device)
    refuse_difference(one.model, model, torch.tensor([list(wanted[0].prompt)], device=compute.device))
    model.set_attn_implementation("paged|sdpa")
    hints = WorkloadHints(
        max_prompt_length=max(len(each.prompt) for each in wanted),
        max_generated_length=max(each.new for each in wanted),
        num_requests=len(wanted),
    )
    # on a CPU it would take nearly all memory that is there
    room = {} if compute.device.type == "cuda" else {"num_blocks": 64, "max_batch_tokens": 512}
    with model.continuous_batching_context_manager(
        generation_config=GenerationConfig(do_sample=True, top_k=TOP_K, eos_token_id=-1, pad_token_id=0),
        continuous_batching_config=ContinuousBatchingConfig(**room),
        workload_hints=hints,
        timeout=5,
    ) as manager:
        begun, left, came = now(compute.device), len(wanted), 0
        for each in wanted:
            manager.add_request(list(each.prompt), max_new_tokens=each.new)
        while left:
            result = manager.get_result(timeout=1)
            if result is None:
                assert manager.is_running(), "its generation thread must go on until all is served; it has ended"
            elif result.is_finished():
                assert result.error is None, result.error
                left, came = left - 1, came + len(result.generated_tokens)
        taken = time.perf_counter() - begun
    assert came == sum(each.new for each in wanted), f"it must write all tokens that were asked for; it wrote {came}"
    return taken


def main() -> None:
    parser = arguments(__doc__, shapes=sorted(each.stem for each in SHAPES.glob("*.llm")))
    parser.set_defaults(shape="1b")
    parser.add_argument("--requests", type=int, default=256)
    parser.add_argument("--cache", default="dense", help="dense or paged")
    parser.add_argument("--transformers", action="store_true", help="measure its continuous batching too")
    args = parser.parse_args()
    compute = begin(args, *["transformers"] * args.transformers)
    one = side(args.shape, compute, 1.0, mode=args.mode, tiny=args.tiny, sets=[f"generate.cache={args.cache}"])
    lengths = TINY if args.tiny else LENGTHS
    wanted = drawn(args.requests, lengths, one.tokenizer.vocab_size)
    tokens = sum(each.new for each in wanted)
    print(f"{len(wanted)} requests, {sum(len(each.prompt) for each in wanted):_} tokens of prompts, {tokens:_} new")
    # the whole round once before: texts that end one by one meet every number of rows, each with kernels to compile
    ours(one, wanted, compute, 2 * lengths[1])
    rounds = [tokens / ours(one, wanted, compute, 2 * lengths[1]) for _ in range(REPEATS)]
    mine, most = statistics.median(rounds), peak(compute.device)
    show(f"{one.name}, {args.cache}", rounds, "tokens/s", 1)
    print(f"peak memory {(most or 0) / 2**30:.1f} GiB")
    verdicts = [at_least(f"tokens/s by {BAR:,.0f}", mine / BAR, 1.0)]
    if args.transformers:
        others = tokens / theirs(one, wanted, compute)
        print(f"transformers' continuous batching, paged SDPA: {others:,.0f} tokens/s")
        verdicts.append(at_least("ours / transformers", mine / others, TIMES))
    finish(*([] if args.tiny else verdicts))


if __name__ == "__main__":
    main()
