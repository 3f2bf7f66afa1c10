"""How the modules of the slots are called: what goes in, and the one tensor that laws look at.

Legend: B rows, T positions, D model dim, H heads, E head dim, N = B · T, V vocabulary, M memory length, C its width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakSet

import attrs
import torch
from torch import Tensor, nn

from llm_build.conformance.subject import Reference
from llm_build.conformance.trial import Made, Trial
from llm_build.step import Step

Tensors = Mapping[str, Tensor]
Losses = Mapping[str, Tensor]


def _alone(given: Tensors) -> tuple[Any, ...]:
    return (given["x"],)


def _first(given: Any) -> Tensor:
    found: Tensor = given[0] if isinstance(given, tuple) else given
    return found


def _nothing(_module: Any, _given: Tensors) -> None:
    """Most modules are ready as they are made."""


@attrs.frozen(kw_only=True, eq=False)
class Call:
    """A call of a module: its floating tensors by name, "x" the first, and how it is made with them.

    tensors  what is floating; the first axis is that of the rows
    places   integers that go with them [rows, T], or tokens
    beside   other floating tensors, which have no rows
    inputs   all of these → the arguments
    method   what is called; the module itself where it is ""
    read     what comes out → the tensor that laws look at
    ready    what a parent does to the module before it is called
    """

    tensors: Tensors
    places: Tensors = attrs.field(factory=dict)
    beside: Tensors = attrs.field(factory=dict)
    inputs: Callable[[Tensors], tuple[Any, ...]] = _alone
    method: str = ""
    read: Callable[[Any], Tensor] = _first
    ready: Callable[[Any, Tensors], None] = _nothing
    _prepared: WeakSet[Any] = attrs.field(factory=WeakSet, alias="_prepared")

    def __call__(self, module: Any, **changed: Tensor) -> Tensor:
        """What the module gives; `changed` tensors take the place of those that were drawn."""
        return self.read(self.whole(module, **changed))

    def whole(self, module: Any, **changed: Tensor) -> Any:
        """Everything that the module gives, losses and all."""
        return self.function(module)({**self.given, **changed})

    def function(self, module: Any) -> Callable[[Tensors], Any]:
        """What is called of a module, which is ready now, as a function of all that is given."""
        if module not in self._prepared:
            self._prepared.add(module)
            self.ready(module, self.given)
        called, inputs = getattr(module, self.method) if self.method else module, self.inputs
        return lambda given: called(*inputs(given))

    def expected(self, reference: Reference, module: Any) -> Tensor:
        """What a reference says that the module must give."""
        self.function(module)
        return self.read(reference(module, *self.inputs(self.given)))

    def cast(self, dtype: torch.dtype | None = None, device: str = "cpu") -> Call:
        """The same call with tensors of another dtype, or on another device."""
        return attrs.evolve(
            self,
            tensors={name: each.to(device=device, dtype=dtype or each.dtype) for name, each in self.tensors.items()},
            beside={name: each.to(device=device, dtype=dtype or each.dtype) for name, each in self.beside.items()},
            places={name: each.to(device=device) for name, each in self.places.items()},
        )

    def some(self, *index: Any) -> Call:
        """The same call with some of the rows, and of what follows them."""
        return attrs.evolve(
            self,
            tensors={name: each[index] for name, each in self.tensors.items()},
            places={name: each[index] for name, each in self.places.items()},
        )

    @property
    def leading(self) -> tuple[int, ...]:
        """How many rows there are, and how many positions where these are an axis of their own."""
        first, *_ = (*self.places.values(), *self.tensors.values())
        return tuple(first.shape[: 1 if first.ndim < 3 and not self.places else 2])

    @property
    def given(self) -> Tensors:
        """All tensors, by name."""
        return {**self.tensors, **self.places, **self.beside}


def call_of(trial: Trial, made: Made, *, rows: int | None = None, length: int | None = None) -> Call:
    """A call of a drawn component, in the way of its slot, of so many rows and positions or of any number."""
    drawn = (trial.rows() if rows is None else rows, trial.length() if length is None else length)
    return CALLS[trial.subject.info.slot](trial, made, *drawn)


def losses_of(whole: Any) -> Losses:
    """The losses in what a module gave: the last of it, where it is a mapping."""
    last = whole[-1] if isinstance(whole, tuple) else None
    return last if isinstance(last, Mapping) else {}


def _plain(trial: Trial, made: Made, rows: int, length: int) -> Call:
    """x [B, T, D] → [B, T, D]; losses are left alone."""
    return Call(tensors={"x": trial.normal(rows, length, made.context.need("dim"))})


def _router(trial: Trial, made: Made, rows: int, length: int) -> Call:
    """x [N, D] → the weights of all experts [N, X], 0 for those that are not chosen."""
    experts = made.context.need("experts")

    def read(given: Any) -> Tensor:
        weights, chosen, *_ = given
        every: Tensor = weights.new_zeros(len(weights), experts).scatter(1, chosen, weights)
        return every

    return Call(tensors={"x": trial.normal(rows * length, made.context.need("dim"))}, read=read)


def _position(trial: Trial, made: Made, rows: int, length: int) -> Call:
    """Each row begins at a place of its own."""
    room = (made.context.context or length) - length
    places = trial.integers(room + 1, rows, 1) + torch.arange(length)
    rotary = trial.subject.can("rotary")
    inner = (made.context.need("heads"), made.context.need("head_dim")) if rotary else (made.context.need("dim"),)
    return Call(
        tensors={"x": trial.normal(rows, length, *inner)},
        places={"positions": places},
        inputs=lambda given: (given["x"], given["positions"]),
        method="rotate" if rotary else "embed",
    )


def _placement(trial: Trial, made: Made, rows: int, length: int) -> Call:
    """Branches that differ, each elementwise."""
    branches = [_branch(number) for number, _ in enumerate(made.context.branches)]
    return Call(
        tensors={"x": trial.normal(rows, length, made.context.need("dim"))},
        inputs=lambda given: (given["x"], branches),
    )


def _branch(number: int) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.sin(x * (number + 1)) + number


def _attention(trial: Trial, made: Made, rows: int, length: int) -> Call:
    tensors = {"x": trial.normal(rows, length, made.context.need("dim"))}
    if made.context.memory is not None:
        tensors["memory"] = trial.normal(rows, trial.whole("memory", 1, 5), made.context.memory)
    return Call(tensors=tensors, inputs=lambda given: (given["x"], step_of(given["x"], given.get("memory"))))


def step_of(x: Tensor, memory: Tensor | None = None, **options: Any) -> Step:
    """The step of whole sequences x [B, T, …] without a state."""
    return Step.begin(torch.zeros(x.shape[:2], dtype=torch.int64, device=x.device), memory=memory, **options)


def _embedding(trial: Trial, made: Made, rows: int, length: int) -> Call:
    """tokens [B, T] → [B, T, D]; nothing that goes in is floating."""
    tokens = trial.integers(made.context.need("vocab"), rows, length)
    return Call(tensors={}, places={"tokens": tokens}, inputs=lambda given: (given["tokens"],))


class Table(nn.Module):
    """What a head may be tied to: weight [V, D]."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())


def _head(trial: Trial, made: Made, rows: int, length: int) -> Call:
    """x [B, T, D] → [B, T, V], after the tie to an embedding that a model makes once."""
    dim, vocab = made.context.need("dim"), made.context.need("vocab")
    return Call(
        tensors={"x": trial.normal(rows, length, dim)},
        beside={"table": trial.normal(vocab, dim)},
        ready=lambda module, given: module.tie(Table(given["table"])),
    )


CALLS: Mapping[str, Callable[[Trial, Made, int, int], Call]] = {
    "norm": _plain,
    "activation": _plain,
    "ffn": _plain,
    "head": _head,
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
