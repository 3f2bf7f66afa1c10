"""How the modules of the slots are called: what goes in, and the one tensor that laws look at.

Legend: B rows, T positions, D model dim, H heads, E head dim, N = B · T, V vocabulary, M memory length, C its width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import torch
from torch import Tensor

from llm_build.conformance.trial import Made, Trial
from llm_build.step import Step

Tensors = Mapping[str, Tensor]


@attrs.frozen(kw_only=True, eq=False)
class Call:
    """A call of a module: its floating tensors by name, "x" the first, and how it is made with them.

    Everything that is no floating tensor stays as it was drawn. The first axis of every tensor is that of the rows.
    """

    tensors: Tensors
    apply: Callable[[Any, Tensors], Tensor]

    def __call__(self, module: Any, **changed: Tensor) -> Tensor:
        """What the module gives; `changed` tensors take the place of those that were drawn."""
        return self.apply(module, {**self.tensors, **changed})

    def cast(self, dtype: torch.dtype | None = None, device: str = "cpu") -> Call:
        """The same call with tensors of another dtype, or on another device."""
        return attrs.evolve(
            self,
            tensors={name: each.to(device=device, dtype=dtype or each.dtype) for name, each in self.tensors.items()},
        )


def call_of(trial: Trial, made: Made) -> Call:
    """A call of a drawn component, in the way of its slot."""
    return CALLS[trial.subject.info.slot](trial, made)


def _plain(trial: Trial, made: Made) -> Call:
    """x [B, T, D] → [B, T, D] or [B, T, V]; losses are left alone."""
    x = trial.normal(trial.rows(), trial.length(), made.context.need("dim"))
    return Call(tensors={"x": x}, apply=lambda module, given: _first(module(given["x"])))


def _router(trial: Trial, made: Made) -> Call:
    """x [N, D] → the weights of all experts [N, X], 0 for those that are not chosen."""
    experts = made.context.need("experts")
    x = trial.normal(trial.rows() * trial.length(), made.context.need("dim"))

    def apply(module: Any, given: Tensors) -> Tensor:
        weights, chosen, _ = module(given["x"])
        every: Tensor = weights.new_zeros(len(weights), experts).scatter(1, chosen, weights)
        return every

    return Call(tensors={"x": x}, apply=apply)


def _position(trial: Trial, made: Made) -> Call:
    rows, length = trial.rows(), trial.length()
    positions = torch.arange(length).expand(rows, length)
    if trial.subject.can("rotary"):
        x = trial.normal(rows, length, made.context.need("heads"), made.context.need("head_dim"))
        return Call(
            tensors={"x": x}, apply=lambda module, given: module.rotate(given["x"], _like(positions, given["x"]))
        )
    x = trial.normal(rows, length, made.context.need("dim"))
    return Call(tensors={"x": x}, apply=lambda module, given: module.embed(given["x"], _like(positions, given["x"])))


def _placement(trial: Trial, made: Made) -> Call:
    """Branches that differ, each elementwise."""
    x = trial.normal(trial.rows(), trial.length(), made.context.need("dim"))
    branches = [_branch(number) for number, _ in enumerate(made.context.branches)]
    return Call(tensors={"x": x}, apply=lambda module, given: module(given["x"], branches))


def _branch(number: int) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.sin(x * (number + 1)) + number


def _attention(trial: Trial, made: Made) -> Call:
    rows, length, dim = trial.rows(), trial.length(), made.context.need("dim")
    tensors = {"x": trial.normal(rows, length, dim)}
    if made.context.memory is not None:
        tensors["memory"] = trial.normal(rows, trial.whole("memory", 1, 5), made.context.memory)

    def apply(module: Any, given: Tensors) -> Tensor:
        mixed: Tensor = module(given["x"], step_of(given["x"], given.get("memory")))
        return mixed

    return Call(tensors=tensors, apply=apply)


def step_of(x: Tensor, memory: Tensor | None = None, **options: Any) -> Step:
    """The step of whole sequences x [B, T, …] without a state."""
    return Step.begin(torch.zeros(x.shape[:2], dtype=torch.int64, device=x.device), memory=memory, **options)


def _embedding(trial: Trial, made: Made) -> Call:
    """tokens [B, T] → [B, T, D]; nothing that goes in is floating."""
    tokens = trial.integers(made.context.need("vocab"), trial.rows(), trial.length())
    return Call(tensors={}, apply=lambda module, _: module(_on(module, tokens)))


def _on(module: Any, tokens: Tensor) -> Tensor:
    return tokens.to(next(iter(module.parameters())).device)


def _like(positions: Tensor, x: Tensor) -> Tensor:
    return positions.to(x.device)


def _first(given: Any) -> Tensor:
    found: Tensor = given[0] if isinstance(given, tuple) else given
    return found


CALLS: Mapping[str, Callable[[Trial, Made], Call]] = {
    "norm": _plain,
    "activation": _plain,
    "ffn": _plain,
    "head": _plain,
    "router": _router,
    "position": _position,
    "placement": _placement,
    "attention": _attention,
    "embedding": _embedding,
}
"""The slots whose modules are functions of tensors."""
POINTWISE = frozenset(CALLS) - {"attention"}
"""Those whose modules treat each position by itself."""
FLOATING = frozenset(CALLS) - {"embedding"}
"""Those whose modules are given activations."""
