"""256 new tokens on the CPU: decoding with what the layers keep, against the whole sequence again for every token.

Both sides are the same model in float32, batch 1, greedy, and compute the logits of the last position alone.
Run `python tools/bench/cached_decode.py`. Legend: B rows, T positions, V vocabulary.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from _measure import alternate, at_least, finish, machine, show
from llm_build import build, load, make_state

SPEC = """llm 1
model = decoder {
  dim = 512
  vocab = 8_192
  context = 512
  position = rope
  layers = 8 * block { norm = rms, attention = gqa { heads = 8, kv_heads = 4 }, ffn = swiglu }
  norm = rms
  head = linear { tie = true }
}
"""
PROMPT = 64
NEW = 256
BAR = 10.0
CERTAIN = 1e-3
"""The best two logits must differ by this much, so that rounding decides no token."""

Next = Callable[[Tensor], Tensor]
"""All tokens so far [B, T] → logits [B, V] of the next."""


def cached(model: torch.nn.Module) -> Next:
    """Reads only what it has not read yet."""
    state = make_state(model, 1, PROMPT + NEW)
    read = 0

    def following(tokens: Tensor) -> Tensor:
        nonlocal read
        new, read = tokens[:, read:], tokens.shape[1]
        state.reserve(new.shape[1])
        return last(model, model.hidden(new, state)[0])

    return following


def again(model: torch.nn.Module) -> Next:
    """Reads everything each time."""
    return lambda tokens: last(model, model.hidden(tokens)[0])


def last(model: torch.nn.Module, hidden: Tensor) -> Tensor:
    logits: Tensor = model.head(hidden[:, -1])
    return logits


def write(following: Next, prompt: Tensor) -> tuple[Tensor, float]:
    """The prompt and its greedy continuation, and the least distance between the best two logits on the way."""
    tokens, distance = prompt, float("inf")
    for _ in range(NEW):
        best = following(tokens).topk(2)
        distance = min(distance, float(best.values[0, 0] - best.values[0, 1]))
        tokens = torch.cat([tokens, best.indices[:, :1]], 1)
    return tokens, distance


def seconds(following: Next, prompt: Tensor) -> float:
    begun = time.perf_counter()
    write(following, prompt)
    return time.perf_counter() - begun


@torch.inference_mode()
def main() -> None:
    model = build(load(SPEC), seed=0).eval()
    prompt = torch.randint(model.vocab, (1, PROMPT), generator=torch.Generator().manual_seed(0))
    ours, distance = write(cached(model), prompt)
    theirs, _ = write(again(model), prompt)
    assert distance > CERTAIN, f"the best two logits come within {distance:g}: choose another seed"
    assert torch.equal(ours, theirs), "the two sides must write the same tokens"

    fast, slow = alternate(lambda: seconds(cached(model), prompt), lambda: seconds(again(model), prompt))
    machine("torch")
    print(f"dim 512, 8 layers, float32, batch 1, prompt {PROMPT}, {NEW} new tokens, {torch.get_num_threads()} threads")
    show("with a cache", fast)
    show("whole sequence again", slow)
    finish(at_least("again / cached", statistics.median(slow) / statistics.median(fast), BAR))


if __name__ == "__main__":
    main()
