"""The mini-course model against the loop over experts that its documents print: training and generation.

Both sides have the same weights and, but for the experts, the same modules. The yardstick selects each expert's
positions by a mask, runs it, weighs and adds, expert after expert; to generate, it reads the whole sequence again for
every token. Run `python tools/bench/minicourse.py [--device cuda]`; `--layers 2` and the like for a quick look.

Training has weights in float32, products in `--dtype`, the spec's objective, optimiser and dropout; generation has
weights in `--dtype` and is greedy. Legend: B rows, T positions, N = B · T, D model dim, X experts, k of them a
position, V vocabulary.
"""

from __future__ import annotations

import argparse
import copy
import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from _measure import alternate, at_least, finish, machine, show
from llm_build import Batch, Context, State, build, load, make_state
from llm_build.resolve import resolve
from llm_build.run import keep_memory
from llm_build_plugins import model as models
from llm_build_plugins.generate._replay import Replay

SPEC = Path(__file__).parents[2] / "specs" / "minicourse.llm"
PARAMETERS = 483_033_680
BARS = {"cpu": (1.0, 10.0), "cuda": (2.0, 20.0)}
"""Training and generation: how many times the yardstick's tokens a second."""
DEFAULTS: dict[str, dict[str, Any]] = {
    "cpu": {"dtype": "float32", "batch": 2, "context": 256, "steps": 1, "rows": 1, "prompt": 448, "new": 32},
    "cuda": {"dtype": "bfloat16", "batch": 32, "context": 512, "steps": 10, "rows": 1, "prompt": 256, "new": 256},
}
SEED = 3

Step = Callable[[], float]
"""One optimiser step → the loss."""


class Expert(nn.Module):
    """One expert of a bank of SwiGLUs, in the bank's own memory: x [n, D] → [n, D]."""

    def __init__(self, bank: nn.Module, index: int) -> None:
        super().__init__()
        # parameters of their own, so that the gradient of one expert is no larger than that expert
        for name, weight in bank.named_parameters():
            self.register_parameter(name.replace(".", "_"), nn.Parameter(weight.detach()[index]))

    def forward(self, x: Tensor) -> Tensor:
        gate, up = linear(x, self.gate_up_weight, self.gate_up_bias).chunk(2, dim=-1)
        return linear(silu(gate) * up, self.down_weight, self.down_bias)


class Loop(nn.Module):
    """The documents' mixture: expert after expert, by masks. x [B, T, D] → [B, T, D]."""

    def __init__(self, ours: nn.Module) -> None:
        super().__init__()
        self.router = ours.router
        self.experts = nn.ModuleList(Expert(ours.experts, index) for index in range(ours.count))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, -2)
        weights, chosen, _ = self.router(flat)
        y = torch.zeros_like(flat)
        for expert in torch.unique(chosen).tolist():
            here = chosen == expert  # [N, k]
            rows = here.any(-1)
            weight = (weights * here).sum(-1)[rows]
            y[rows] += (self.experts[expert](flat[rows]) * weight[:, None]).to(y.dtype)
        return y.view_as(x)


def looped(model: nn.Module) -> nn.Module:
    """The same model around the same weights, with the loop in place of every mixture."""
    twin = copy.deepcopy(model, {id(each): each for each in model.parameters()})
    for layer, ours in zip(twin.layers, model.layers, strict=True):
        layer.ffn = Loop(ours.ffn)
    return twin.train(model.training)


def chosen_spec(options: argparse.Namespace, **changes: Any) -> Any:
    """The mini-course spec, with `--layers` layers."""
    spec = load(SPEC)
    model = attrs.evolve(spec.model, layers=spec.model.layers[: options.layers], **changes)
    return attrs.evolve(spec, model=model)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


# --- training ---


def trained(model: nn.Module, trainer: Any, batch: Batch, autocast: Callable[[], AbstractContextManager[Any]]) -> Step:
    """One side's optimiser step on a batch."""
    optimiser = trainer.optimizer.make(model)

    def step() -> float:
        with autocast():
            loss, _ = trainer.objective.loss(model, batch)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def refuse_different_losses(
    sides: Sequence[nn.Module], trainer: Any, batch: Batch, autocast: Callable[[], AbstractContextManager[Any]]
) -> None:
    """Both sides must have the same loss and the same gradient, dropout included, before any weight moves."""
    found = []
    for model in sides:
        torch.manual_seed(SEED)
        with autocast():
            loss, _ = trainer.objective.loss(model, batch)
        loss.backward()
        found.append((float(loss.detach()), norm_of(model)))
        model.zero_grad(set_to_none=True)
    # in bfloat16 a few positions that hang between two experts go to the other one
    bounds = (1e-5, 1e-5) if autocast is nullcontext else (2e-3, 1e-2)
    for what, ours, theirs, bound in zip(("losses", "gradient norms"), *found, bounds, strict=True):
        print(f"{what:<44} {ours:.6f} and {theirs:.6f}")
        assert math.isclose(ours, theirs, rel_tol=bound), f"the {what} must be the same: {ours} and {theirs}"


def norm_of(model: nn.Module) -> float:
    """The global norm of the gradient, added up in float64: a bank is too large a sum for float32."""
    norms = [
        torch.linalg.vector_norm(each.grad, dtype=torch.float64) for each in model.parameters() if each.grad is not None
    ]
    return float(torch.stack(norms).norm())


def train(options: argparse.Namespace, device: torch.device) -> bool:
    if device.type == "cpu":
        keep_memory()  # as `llm-build train` does, here for both sides
    spec = chosen_spec(options)
    model = build(spec, device=device, seed=0).train()
    count = sum(each.numel() for each in model.parameters())
    assert options.layers is not None or count == PARAMETERS, f"{count:_} parameters"
    filled: Any = resolve(spec, Context())
    trainer = filled.part("train", filled.inside("train", Context()))
    tokens = torch.randint(
        model.vocab, (options.batch, options.context + 1), generator=torch.Generator().manual_seed(0)
    )
    batch = Batch(tokens=tokens[:, :-1], targets=tokens[:, 1:]).map(lambda each: each.to(device))
    dtype = getattr(torch, options.dtype)

    def narrow() -> AbstractContextManager[Any]:
        return torch.autocast(device.type, dtype=dtype)

    autocast = nullcontext if dtype == torch.float32 else narrow
    sides = (model, looped(model))
    refuse_different_losses(sides, trainer, batch, autocast)
    steps = [trained(each, trainer, batch, autocast) for each in sides]

    def seconds(step: Step, count: int) -> float:
        wait(device)
        begun = time.perf_counter()
        for _ in range(count):
            step()
        wait(device)
        return (time.perf_counter() - begun) / count

    for step in steps:  # warm-up: the optimiser's state, and memory that is kept from then on
        seconds(step, 3)
    ours, theirs = alternate(lambda: seconds(steps[0], options.steps), lambda: seconds(steps[1], options.steps))
    size = options.batch * options.context
    print(f"training: {options.batch} × {options.context} tokens, {options.dtype}, {count:_} parameters")
    return verdict("training", ours, theirs, size, BARS[device.type][0])


# --- generation ---

Write = Callable[[Tensor], tuple[Tensor, Tensor]]
"""prompt [B, T] → the greedy continuation [B, new], and the logits [new, B, V] that it was chosen from."""


def cached(model: nn.Module, options: argparse.Namespace, device: torch.device) -> Write:
    """Reads only what it has not read yet, each step as the generator takes it; what is captured stays."""
    state = make_state(model, options.rows, options.prompt + options.new, options.prompt)

    token = torch.zeros(options.rows, 1, dtype=torch.int64, device=device)
    count = torch.ones(options.rows, dtype=torch.int64, device=device)
    logits = token.new_empty(options.rows, model.vocab, dtype=next(model.parameters()).dtype)
    one = [1] * options.rows

    def step() -> None:
        logits.copy_(last(model, token, state, count))

    def reserved(counts: Sequence[int]) -> None:
        state.reserve(counts)
        step()

    take = reserved if options.eager else Replay(step, state, lambda: [logits])

    def following(new: Tensor) -> Tensor:
        token.copy_(new)
        take(one)
        return logits.clone()

    def write(prompt: Tensor) -> tuple[Tensor, Tensor]:
        state.reset(range(options.rows))
        state.reserve(options.prompt)
        seen = [last(model, prompt, state)]
        written = [seen[0].argmax(-1, keepdim=True)]
        while len(written) < options.new:
            seen.append(following(written[-1]))
            written.append(seen[-1].argmax(-1, keepdim=True))
        return torch.cat(written, 1), torch.stack(seen)

    return write


def again(model: nn.Module, new: int) -> Write:
    """Reads everything each time."""

    def write(prompt: Tensor) -> tuple[Tensor, Tensor]:
        tokens, seen = prompt, []
        for _ in range(new):
            seen.append(last(model, tokens))
            tokens = torch.cat([tokens, seen[-1].argmax(-1, keepdim=True)], 1)
        return tokens[:, prompt.shape[1] :], torch.stack(seen)

    return write


def last(model: nn.Module, tokens: Tensor, state: State | None = None, count: Tensor | None = None) -> Tensor:
    """[B, V] logits after the last token."""
    hidden, _ = model.hidden(tokens, state, count=count)
    logits: Tensor = model.head(hidden[:, -1])
    return logits


def refuse_different_tokens(ours: Write, theirs: Write, prompt: Tensor) -> None:
    """Both sides must write the same tokens, and no token may be a matter of rounding."""
    (tokens, logits), (others, scores) = ours(prompt), theirs(prompt)
    assert torch.equal(tokens, others), "the two sides must write the same tokens"
    best = logits.topk(2).values
    distance, rounding = float((best[..., 0] - best[..., 1]).min()), float((logits - scores).abs().max())
    print(
        f"{'greedy tokens in float32':<44} the same: the best two are {distance:.2g} apart, rounding is {rounding:.2g}"
    )
    assert distance > 2 * rounding, f"the best two logits come within {distance:g}: choose another SEED"


@torch.inference_mode()
def generate(options: argparse.Namespace, device: torch.device) -> bool:
    # wide enough that the best logit stands out
    model = build(chosen_spec(options, initialiser=models.normal(std=0.05)), device=device, seed=0).eval()
    shape = (options.rows, options.prompt)
    prompt = torch.randint(model.vocab, shape, generator=torch.Generator().manual_seed(SEED)).to(device)
    refuse_different_tokens(cached(model, options, device), again(looped(model), options.new), prompt)
    model = model.to(getattr(torch, options.dtype))
    ours, theirs = cached(model, options, device), again(looped(model), options.new)

    def seconds(write: Write) -> float:
        wait(device)
        begun = time.perf_counter()
        write(prompt)
        wait(device)
        return time.perf_counter() - begun

    seconds(ours), seconds(theirs)  # warm-up
    fast, slow = alternate(lambda: seconds(ours), lambda: seconds(theirs))
    how = "kernel by kernel" if options.eager else "CUDA graphs"
    print(
        f"generation: {options.rows} rows, prompt {options.prompt}, {options.new} new tokens each, prefill counted, "
        f"{options.dtype}, {how}"
    )
    return verdict("generation", fast, slow, options.rows * options.new, BARS[device.type][1])


def verdict(what: str, ours: Sequence[float], theirs: Sequence[float], tokens: int, bar: float) -> bool:
    for name, seconds in (("ours", ours), ("loop", theirs)):
        show(f"{what}, {name}", [tokens / each for each in seconds], "tokens/s", 1)
    return at_least(f"{what}: ours / loop", statistics.median(theirs) / statistics.median(ours), bar)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=sorted(BARS), default="cpu")
    parser.add_argument("--part", choices=["train", "generate", "both"], default="both")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], help="bfloat16 on a GPU, float32 on a CPU")
    parser.add_argument("--batch", type=int, help="rows of a training step")
    parser.add_argument("--context", type=int, help="tokens of each of them")
    parser.add_argument("--steps", type=int, help="training steps a repeat")
    parser.add_argument("--rows", type=int, help="texts that are written at once")
    parser.add_argument("--prompt", type=int, help="tokens of each prompt")
    parser.add_argument("--new", type=int, help="tokens to write")
    parser.add_argument("--eager", action="store_true", help="decode kernel by kernel, as a CPU does")
    parser.add_argument("--layers", type=int, help="only so many layers")
    options = parser.parse_args()
    for name, value in DEFAULTS[options.device].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.eager |= options.device != "cuda"
    return options


def main() -> None:
    options = parsed()
    device = torch.device(options.device)
    machine("torch")
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"device: {where}")
    verdicts = []
    for part, measure in (("train", train), ("generate", generate)):
        if options.part in (part, "both"):
            verdicts.append(measure(options, device))
            gc.collect()
    finish(*verdicts)


if __name__ == "__main__":
    main()
