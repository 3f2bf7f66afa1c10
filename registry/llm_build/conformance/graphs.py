"""Compiling without a compiler: graphs are traced and counted, and run as they are."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from llm_build.conformance.compare import require, same
from llm_build.conformance.mixing import Mixers
from llm_build.step import State

WAITING = frozenset({"item", "tolist"})
"""Methods that a graph may hold, and that wait for the device."""


class Counter:
    """A backend that runs what was traced, counts how often it is asked, and notes where a graph waits for numbers."""

    def __init__(self) -> None:
        self.graphs = 0
        self.waits: set[str] = set()

    def __call__(self, graph: Any, _examples: Any) -> Any:
        self.graphs += 1
        self.waits |= {str(node.target) for node in graph.graph.nodes if str(node.target) in WAITING}
        return graph.forward


@torch.no_grad()
def one_graph(model: Mixers, state: State, x: Tensor, *, prompt: int, told: Mapping[str, Tensor]) -> None:
    """Feed a prompt and then x [B, T, D] token by token, compiled.

    Raises `Violation` for a graph more than one for the prompt and one for the steps, for numbers that are not those
    of the same calls without compiling, for a call that waits for the device, and for a tensor of the state that moved.
    """
    torch._dynamo.reset()
    counter, found, before = Counter(), [], places(state)
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    with _quiet():
        for start, stop in [(0, prompt), *((place, place + 1) for place in range(prompt, x.shape[1]))]:
            count = torch.full((len(x),), stop - start)
            state.reserve(stop - start)
            found.append(compiled(x[:, start:stop], state, count=count, **(told if start == 0 else {})))
    torch._dynamo.reset()
    require(counter.graphs <= 2, f"a prompt and {x.shape[1] - prompt} steps are {counter.graphs} graphs, not 2")
    require(not counter.waits, f"a call waits for the device: {', '.join(counter.waits)}")
    moved = [name for name, place in places(state).items() if before.get(name) != place]
    require(not moved, f"tensors of the state moved: {', '.join(moved)}")
    same(torch.cat(found, 1), eager(model, state, x, told), "the compiled calls")


@contextmanager
def _quiet() -> Iterator[None]:
    """What cannot be traced is raised; torch need not write it down as well."""
    log = logging.getLogger("torch")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def eager(model: Mixers, state: State, x: Tensor, told: Mapping[str, Tensor]) -> Tensor:
    """The same on the same state, which begins anew, in one call."""
    state.reset(range(state.rows))
    state.reserve(x.shape[1])
    found: Tensor = model(x, state, **told)
    return found


def places(state: State) -> dict[str, int]:
    """Where each tensor of a state lies in memory."""
    found = {"lengths": state.lengths.data_ptr(), "memory_lengths": state.memory_lengths.data_ptr()}
    for number, layer in enumerate(state.views):
        for name, view in layer.items():
            held = [("", view), ("pool.", getattr(view, "pool", None))]
            found |= {
                f"layers[{number}].{name}.{of}{path}": each.data_ptr()
                for of, holder in held
                if holder is not None
                for path, each in _tensors(vars(holder).items())
            }
    return found


def _tensors(values: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Tensor]]:
    for name, value in values:
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, Mapping):
            yield from _tensors((f"{name}.{key}", each) for key, each in value.items())
