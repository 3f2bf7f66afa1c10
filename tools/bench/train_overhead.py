"""A training step of an assembled model, against the same operations written by hand.

Both sides: the same weights, batches, fused projections, SDPA call, loss and fused AdamW; float32 on the CPU. Run
`python tools/bench/train_overhead.py`. Legend: B rows, T positions, D model dim, H query heads, K key/value heads,
E head dim, F hidden, V vocabulary.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding, linear, rms_norm, scaled_dot_product_attention, silu

from _measure import alternate, at_least, finish, machine, show
from llm_build import Batch, Context, build, load
from llm_build.resolve import resolve

DIM, LAYERS, HEADS, KV_HEADS, HIDDEN, VOCAB = 384, 6, 6, 2, 1_024, 2_048
ROWS, CONTEXT = 4, 256
HEAD_DIM = DIM // HEADS
THETA, EPS = 10_000.0, 1e-5
LR, BETAS, DECAY = 1e-3, (0.9, 0.95), 0.1
STEPS_COMPARED = 4
STEPS = 8
"""Steps a repeat; a repeat is their mean."""
BAR = 0.98

SPEC = f"""llm 1
model = decoder {{
  dim = {DIM}
  vocab = {VOCAB}
  context = {CONTEXT}
  position = rope {{ theta = {THETA:.0f} }}
  layers = {LAYERS} * block {{
    norm = rms
    attention = gqa {{ heads = {HEADS}, kv_heads = {KV_HEADS} }}
    ffn = swiglu {{ hidden = {HIDDEN} }}
  }}
  norm = rms
  head = linear {{ tie = true }}
}}
train = pretrain {{
  steps = 1, batch = {ROWS}, schedule = none
  optimizer = adamw {{ lr = {LR}, betas = [{BETAS[0]}, {BETAS[1]}], decay = {DECAY} }}
}}
"""

Step = Callable[[Tensor, Tensor], float]
"""tokens and targets [B, T] → the loss; the weights move."""


def assembled() -> tuple[nn.Module, Step]:
    """The model, the objective and the optimiser that the spec names."""
    spec = load(SPEC)
    model = build(spec, seed=0).train()
    filled = resolve(spec, Context())
    trainer = filled.part("train", filled.inside("train", Context()))
    optimiser = trainer.optimizer.make(model)

    def step(tokens: Tensor, targets: Tensor) -> float:
        loss, _ = trainer.objective.loss(model, Batch(tokens=tokens, targets=targets))
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return float(loss.detach())

    return model, step


def by_hand(weights: dict[str, Tensor]) -> Step:
    """The same, as a person would write it for this one model: no modules, the rotation's angles made once a step."""
    kept = {name: each.clone().requires_grad_() for name, each in weights.items()}
    groups = [
        {"params": [each for each in kept.values() if each.ndim >= 2], "weight_decay": DECAY},
        {"params": [each for each in kept.values() if each.ndim < 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=LR, betas=BETAS, fused=True)

    def step(tokens: Tensor, targets: Tensor) -> float:
        logits = forward(kept, tokens)
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def forward(weights: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """tokens [B, T] → logits [B, T, V]."""
    cos, sin = rotation(tokens.shape[1])
    x = embedding(tokens, weights["embedding.weight"])
    for index in range(LAYERS):
        x = layer(weights, f"layers.{index}.", x, cos, sin)
    x = rms_norm(x, (DIM,), weights["norm.weight"], EPS)
    return linear(x, weights["embedding.weight"])


def layer(weights: dict[str, Tensor], name: str, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [B, T, D] → [B, T, D]."""
    normed = rms_norm(x, (DIM,), weights[name + "placement.norms.attention.weight"], EPS)
    qkv = linear(normed, weights[name + "attention.qkv.weight"]).unflatten(-1, (-1, HEAD_DIM))
    q, k, v = qkv.split((HEADS, KV_HEADS, KV_HEADS), dim=-2)
    q, k = rotate(q, cos, sin), rotate(k, cos, sin)
    q, k, v = (each.transpose(1, 2) for each in (q, k, v))
    mixed = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    x = x + linear(mixed.transpose(1, 2).flatten(2), weights[name + "attention.out.weight"])
    normed = rms_norm(x, (DIM,), weights[name + "placement.norms.ffn.weight"], EPS)
    gate, up = linear(normed, weights[name + "ffn.gate_up.weight"]).chunk(2, dim=-1)
    return x + linear(silu(gate) * up, weights[name + "ffn.down.weight"])


def rotation(length: int) -> tuple[Tensor, Tensor]:
    """The cosine and the sine with its sign, each [T, 1, E]."""
    turns = THETA ** -(torch.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    angles = torch.arange(length)[:, None, None] * torch.cat((-turns, turns))
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [B, T, H, E], turned by its place."""
    return torch.addcmul(x * cos, x.roll(HEAD_DIM // 2, dims=-1), sin)


def batches(count: int) -> list[tuple[Tensor, Tensor]]:
    chance = torch.Generator().manual_seed(0)
    drawn = [torch.randint(VOCAB, (ROWS, CONTEXT + 1), generator=chance) for _ in range(count)]
    return [(each[:, :-1], each[:, 1:]) for each in drawn]


def seconds(step: Step, work: list[tuple[Tensor, Tensor]]) -> float:
    begun = time.perf_counter()
    for tokens, targets in work:
        step(tokens, targets)
    return (time.perf_counter() - begun) / len(work)


def main() -> None:
    model, ours = assembled()
    theirs = by_hand({name: each.detach().clone() for name, each in model.named_parameters()})
    # the first steps are the comparison and the warm-up
    for tokens, targets in batches(STEPS_COMPARED):
        a, b = ours(tokens, targets), theirs(tokens, targets)
        assert abs(a - b) < 1e-5 * abs(a), f"the two sides must have the same loss: {a} and {b}"

    work = batches(STEPS)
    fast, slow = alternate(lambda: seconds(ours, work), lambda: seconds(theirs, work))
    machine("torch")
    print(f"dim {DIM}, {LAYERS} layers, {ROWS} × {CONTEXT} tokens, float32, {torch.get_num_threads()} threads")
    show("assembled", fast)
    show("by hand", slow)
    finish(at_least("by hand / assembled", statistics.median(slow) / statistics.median(fast), BAR))


if __name__ == "__main__":
    main()
