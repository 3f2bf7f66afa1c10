"""What holds for a cache, under mixers that keep everything there is to keep. Legend: B rows, T new positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor

from llm_build.conformance.check import check
from llm_build.conformance.compare import require, same
from llm_build.conformance.graphs import one_graph, places
from llm_build.conformance.keepers import DIM, TOKENS, Keeper, draw_spec, is_scarce
from llm_build.conformance.machine import CAPACITY, Machine, World
from llm_build.conformance.mixing import Mixers
from llm_build.conformance.record import is_exact
from llm_build.conformance.schedules import run, run_with_poison
from llm_build.conformance.trial import Trial

if TYPE_CHECKING:
    from llm_build.step import StateSpec

CACHE = ("cache",)
LONG = 150
"""More than two of the spans that the length in use is rounded to."""


def world_of(trial: Trial, layers: int = 2, dtype: torch.dtype = torch.float64, *, scarcely: bool = False) -> World:
    """A drawn cache under drawn mixers. It has room for all rows, unless it may have it `scarcely`."""
    specs = [draw_spec(trial.pick) for _ in range(layers)]
    trial.tell("fields", "; ".join(", ".join(each) for each in specs))
    cache, model = trial.made().module, Mixers([Keeper(each, seed) for seed, each in enumerate(specs)], dtype)
    scarce = is_scarce(cache)
    assume(scarcely or not scarce)
    is_exact(cache, [{"every kind": TOKENS}], model.like)  # whole numbers stay, whatever was drawn
    return World(
        model=model,
        fresh=lambda rows, length: trial.normal(rows, length, DIM, dtype=dtype),
        source=(lambda length: trial.normal(length, DIM, dtype=dtype)) if _reads(specs) else None,
        cache=cache,
        exact=is_exact(cache, model.state_spec, model.like),
        scarce=scarce,
    )


def _reads(specs: list[StateSpec]) -> bool:
    return any(field.per == "memory" for spec in specs for field in spec.values())


def carried_out(trial: Trial, schedule: Callable[..., None], capacities: Sequence[int]) -> None:
    """Run a schedule, and tell its calls whatever comes of it."""
    world, rows = world_of(trial, scarcely=True), trial.whole("rows", 2, 3)
    max_step = trial.draw("max_step", st.sampled_from((4, 1, 2, 3)))
    machine = Machine(world, rows, trial.draw("capacity", st.sampled_from(capacities)), max_step)
    try:
        schedule(machine, trial.pick)
        machine.empty()
    finally:
        trial.tell("calls", "; ".join(machine.told))


@check("kept", slots=CACHE)
def kept(trial: Trial) -> None:
    """What is read is what was stored, whatever calls come in whatever order, beside a full pass that stores nothing.

    The mixers keep fields of every kind: a token, a sequence and a memory, of short and long reach, one number or many,
    with a dtype of their own, in parts. Where numbers are coded (`View.rounded`), the full pass takes them so; that
    they are near enough is for you to say. Tokens beyond `reach` and empty cells may hold anything that is a number.
    Rows that are reset give all their room back. It stays beside "poison-kept", as plain mistakes are read here.
    """
    carried_out(trial, run, (CAPACITY, 13, 6))


@check("poison-kept", slots=CACHE)
def poison_kept(trial: Trial) -> None:
    """NaN in a row that is reset, 1e30 in tokens that are rejected, and a call that does not fit leave no trace.

    A NaN passes through every masked softmax, so that `reset_cells` has to overwrite it. `reserve` refuses what does
    not fit before anything changes.
    """
    carried_out(trial, run_with_poison, (12, 6))


@check("separate", slots=CACHE, quick=5)
def apart(trial: Trial) -> None:
    """Two states that one cache laid out never meet.

    It fails where a cache keeps its tensors on itself, or on its class. It stays beside "kept" as it says so plainly.
    """
    world, length = world_of(trial), 4
    states = [world.state(1) for _ in range(2)]
    texts = [world.fresh(1, length) for _ in states]
    sources = [None if world.source is None else world.source(2) for _ in states]
    for place in range(length):
        for which, (state, text) in enumerate(zip(states, texts, strict=True)):
            source, upto = sources[which], text[0, : place + 1]
            told = {"memory": source[None]} if source is not None and place == 0 else {}
            with torch.no_grad():
                state.reserve(1)
                found = world.model(text[:, place : place + 1], state, **told)
                same(found[0], world.alone(upto, source)[-1:], f"state {which} of two, token {place}")


@check("long", slots=CACHE, quick=2, full=10)
def long(trial: Trial) -> None:
    """Sequences much longer than a prompt are kept whole, fed at once and token by token.

    Only a part of the capacity is read at first (`step.span`), and it grows. Short cases never get there.
    """
    world = world_of(trial, layers=1)
    x, source = world.fresh(1, LONG), None if world.source is None else world.source(3)
    told: Mapping[str, Any] = {} if source is None else {"memory": source[None]}
    state = world.state(1, capacity=LONG, max_step=LONG)
    found: list[Tensor] = []
    with torch.no_grad():
        for piece in x.split([62, 1, 1, 1, 62, 1, 1, LONG - 129], 1):
            state.reserve(piece.shape[1])
            found.append(world.model(piece, state, **({} if found else told)))
        same(torch.cat(found, 1)[0], world.alone(x[0], source), f"{LONG} tokens")


@check("dtypes", slots=CACHE, quick=5)
def dtypes(trial: Trial) -> None:
    """What is read has the dtype and the shape that was stored, and the model's dtype where a field states none.

    In float32 and in bfloat16. A cache that is wider than the model doubles its memory and hides it in a cast.
    """
    for dtype in (torch.float32, torch.bfloat16):
        world = world_of(trial, dtype=dtype)
        told = {} if world.source is None else {"memory": world.source(2)[None]}
        state = world.state(1)
        with torch.no_grad():
            state.reserve(2)
            world.model(world.fresh(1, 2), state, **told)


@check("one-graph", slots=CACHE, quick=1, full=5)
def cache_graph(trial: Trial) -> None:
    """A prompt and fifty steps are two graphs, and no tensor of the state moves.

    A cache that asks for numbers, as `lengths.max().item()` does, waits for the device in each call; one whose shapes
    depend on how long a sequence is is traced anew with every token.
    """
    world, steps = world_of(trial, layers=1), 50 if trial.full else 6
    told = {} if world.source is None else {"memory": world.fresh(2, 3)}
    one_graph(world.model, world.state(2, steps + 3, steps + 3), world.fresh(2, steps + 3), prompt=3, told=told)


@check("still", slots=CACHE, quick=5)
def still(trial: Trial) -> None:
    """No tensor of the state moves in a reset, a fork or a rewind either: a captured graph goes on writing there.

    It looks at addresses, not at numbers. Where it fails, a tensor is made anew in place of being written into.
    """
    machine = Machine(world_of(trial), rows=2)
    before = places(machine.state)
    run(machine, trial.pick)
    after = places(machine.state)
    moved = [name for name, place in before.items() if after.get(name) != place]
    require(not moved, f"tensors of the state moved: {', '.join(moved)}")
