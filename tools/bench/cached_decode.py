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
  vocab = 2_048
  context = 512
  position = rope
  layers = 8 * block { norm = rms, attention = gqa { heads = 8, kv_heads = 4 }, ffn = swiglu }
  norm = rms
  head = linear { tie = true }
  initialiser = normal { std = 0.05 }  # wide enough that the best logit stands out
}
"""
PROMPT = 256
NEW = 256
SEED = 3
BAR = 10.0

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


def write(following: Next, prompt: Tensor) -> tuple[Tensor, Tensor]:
    """The greedy continuation [NEW], and the logits [NEW, V] that it was chosen from."""
    tokens, seen = prompt, []
    for _ in range(NEW):
        seen.append(following(tokens))
        tokens = torch.cat([tokens, seen[-1].argmax(-1, keepdim=True)], 1)
    return tokens[0, PROMPT:], torch.cat(seen)


def refuse_difference(model: torch.nn.Module, prompt: Tensor) -> None:
    """Both sides must write the same tokens, and no token may be a matter of rounding. It warms both up, too."""
    (ours, logits), (theirs, others) = write(cached(model), prompt), write(again(model), prompt)
    assert torch.equal(ours, theirs), "the two sides must write the same tokens"
    best = logits.topk(2).values
    distance, rounding = float((best[:, 0] - best[:, 1]).min()), float((logits - others).abs().max())
    assert distance > 2 * rounding, f"the best two logits come within {distance:g}: choose another SEED"


def seconds(following: Next, prompt: Tensor) -> float:
    begun = time.perf_counter()
    write(following, prompt)
    return time.perf_counter() - begun


@torch.inference_mode()
def main() -> None:
    model = build(load(SPEC), seed=0).eval()
    prompt = torch.randint(model.vocab, (1, PROMPT), generator=torch.Generator().manual_seed(SEED))
    refuse_difference(model, prompt)
    fast, slow = alternate(lambda: seconds(cached(model), prompt), lambda: seconds(again(model), prompt))
    machine("torch")
    print(f"dim 512, 8 layers, float32, batch 1, prompt {PROMPT}, {NEW} new tokens, {torch.get_num_threads()} threads")
    show("with a cache", fast)
    show("whole sequence again", slow)
    finish(at_least("again / cached", statistics.median(slow) / statistics.median(fast), BAR))


if __name__ == "__main__":
    main()
