"""What holds for a sequence mixer with a state. Legend: B rows, T new positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from llm_build.conformance.check import check
from llm_build.conformance.compare import require, same
from llm_build.conformance.configs import text_of
from llm_build.conformance.drawing import DEPTH, draw_part
from llm_build.conformance.graphs import one_graph
from llm_build.conformance.keepers import is_scarce
from llm_build.conformance.laws.attention import ATTENTION, inputs, mixes, reads_memory
from llm_build.conformance.machine import CAPACITY, Machine, World
from llm_build.conformance.mixing import Mixers, mixers_of
from llm_build.conformance.record import RecordCache, is_exact
from llm_build.conformance.schedules import run, run_with_poison
from llm_build.conformance.subject import Subject
from llm_build.conformance.surroundings import FORWARDS, OVER_MEMORY
from llm_build.conformance.trial import Made, Trial
from llm_build.context import Context
from llm_build.step import State, make_state

if TYPE_CHECKING:
    from llm_build.interfaces import Cache

CACHED = ("cache",)
SHORT_TEXT, SMALL = 5, 12
FIFTY, TWELVE = 50, 12
"""Steps, and mixers, that must be one graph."""


def decodes(subject: Subject) -> bool:
    """Whether it can stand in a model that generates."""
    return mixes(subject) or reads_memory(subject)


def drawn(trial: Trial) -> Made:
    """The mixer where it can generate: forwards, or over a memory."""
    ways = [each for each, can in ((FORWARDS, mixes), (OVER_MEMORY, reads_memory)) if can(trial.subject)]
    return trial.made(**trial.pick(st.sampled_from(ways)))


def cache_for(trial: Trial) -> Cache:
    """The kit's own record, or any cache that is installed."""
    if trial.flag("the kit's own cache"):
        return RecordCache()
    return installed_cache(trial)


def installed_cache(trial: Trial) -> Cache:
    """Any cache that is installed, with room for all rows."""
    for depth in (0, DEPTH):
        config = draw_part(trial.pick, "cache", trial.subject, depth=depth)
        made: Cache = config.build(Context())
        if not is_scarce(made):
            break
    trial.tell("cache", text_of(config))
    return made


def world_of(trial: Trial, made: Made, cache: Cache) -> World:
    """The mixer, one or two layers of it, and vectors for it."""
    model, dim, width = mixers_of(made, trial.whole("layers", 1, 2)), made.context.need("dim"), made.context.memory
    return World(
        model=model,
        fresh=lambda rows, length: trial.normal(rows, length, dim),
        source=None if width is None else lambda length: trial.normal(length, width),
        cache=cache,
        exact=is_exact(cache, model.state_spec, model.like),
    )


def machine_of(trial: Trial, capacity: int = CAPACITY) -> Machine:
    made = drawn(trial)
    return Machine(world_of(trial, made, cache_for(trial)), trial.whole("rows", 2, 3), capacity)


def carried_out(trial: Trial, machine: Machine, schedule: Callable[..., None]) -> None:
    """Run a schedule, and tell its calls whatever comes of it."""
    try:
        schedule(machine, trial.pick)
    finally:
        trial.tell("calls", "; ".join(machine.told))


@check("schedule", slots=ATTENTION, needs=CACHED, when=decodes)
def schedule(trial: Trial) -> None:
    """Whatever calls come on a state, in whatever order, every row gives what it gives alone, in one call without one.

    Calls append from no token to some to each row, feed and reject tokens, reset rows, copy them, and bring memories
    for some while others go on. The state lies in the kit's own cache, which gives tokens in an order of its own with
    1e30 in empty cells, or in one that is installed. Read the calls of the smallest case: the last
    of them went wrong. It stays beside "poison" and "chunks", as no other mixes all kinds of calls.
    """
    carried_out(trial, machine_of(trial), run)


@check("poison", slots=ATTENTION, needs=CACHED, when=decodes, quick=5)
def poison(trial: Trial) -> None:
    """NaN in a row that is reset, 1e30 in tokens that are rejected, and a call that does not fit leave no trace.

    Every row still gives what it gives alone. It stays beside "schedule" as what it finds is what users meet as NaN.
    """
    carried_out(trial, machine_of(trial, SMALL), run_with_poison)


@check("chunks", slots=ATTENTION, needs=CACHED, when=decodes)
def chunks(trial: Trial) -> None:
    """A sequence that comes in chunks gives what it gives whole, also where no `count` says that all tokens are real.

    A call without a `count` is that of plain decoding, and takes ways of its own in a mixer and in a cache. It stays as
    no other check makes that call alone.
    """
    made, cache = drawn(trial), cache_for(trial)
    world, rows = world_of(trial, made, cache), trial.whole("rows", 1, 2)
    pieces = trial.draw("chunks", st.lists(st.integers(1, 4), min_size=2, max_size=5))
    x = inputs(trial, made, rows, sum(pieces))
    state, told, found = world.state(rows), memory_for(trial, made, rows), []
    for number, piece in enumerate(x.split(pieces, 1)):
        found.append(fed(world.model, state, piece, **(told if number == 0 else {})))
    every = torch.cat(found, 1)
    for row in range(rows):
        source = told["memory"][row] if told else None
        same(every[row], world_alone(world, x[row], source), f"row {row} in chunks of {pieces}")


def world_alone(world: World, text: Tensor, source: Tensor | None) -> Tensor:
    with torch.no_grad():
        return world.alone(text, source)


@torch.no_grad()
def fed(model: Mixers, state: State, x: Tensor, **told: Any) -> Tensor:
    """One call that appends all of x [B, T, D]."""
    state.reserve(x.shape[1])
    found: Tensor = model(x, state, **told)
    return found


def memory_for(trial: Trial, made: Made, rows: int) -> dict[str, Tensor]:
    """A memory for every row, where the mixer reads one."""
    width = made.context.memory
    return {} if width is None else {"memory": trial.normal(rows, trial.whole("places", 1, 4), width)}


@check("interleaved", slots=ATTENTION, needs=CACHED, when=decodes, quick=5)
def interleaved(trial: Trial) -> None:
    """Two states of one mixer that take turns never meet, and neither meets a call without a state in between.

    It fails where a mixer keeps anything on itself between calls. It stays beside "schedule" as it says so plainly.
    """
    made = drawn(trial)
    model = mixers_of(made)
    length = trial.length(low=2, high=SHORT_TEXT)
    states = [make_state(model, 1, length, memory=4, cache=RecordCache()) for _ in range(2)]
    texts = [inputs(trial, made, 1, length) for _ in states]
    memories = [memory_for(trial, made, 1) for _ in states]
    with torch.no_grad():
        whole = [model(text, **memory) for text, memory in zip(texts, memories, strict=True)]
    for place in range(length):
        for which, (state, text) in enumerate(zip(states, texts, strict=True)):
            told = {"count": torch.ones(1, dtype=torch.int64), **(memories[which] if place == 0 else {})}
            found = fed(model, state, text[:, place : place + 1], **told)
            same(found, whole[which][:, place : place + 1], f"state {which} of two, token {place}")


@check("state", slots=ATTENTION, needs=CACHED, when=decodes, quick=5)
def state(trial: Trial) -> None:
    """What is stored has the names, shapes and dtypes of `state_spec`, in float32 and in bfloat16.

    A cache casts and broadcasts what arrives without a word: a field that is declared too small, or is made in another
    dtype, costs precision or memory that nobody sees.
    """
    made = drawn(trial)
    for dtype in (torch.float32, torch.bfloat16):
        model = mixers_of(made, dtype=dtype)
        told = {name: each.to(dtype) for name, each in memory_for(trial, made, 1).items()}
        kept = make_state(model, 1, 4, memory=4, cache=RecordCache())
        fed(model, kept, inputs(trial, made, 1, 2).to(dtype), **told)
        for name, field in made.module.state_spec.items():
            if field.per == "sequence":
                refuse_lost(kept, name)


def refuse_lost(kept: State, name: str) -> None:
    """Raises `Violation` where nothing is kept under the name of a field."""
    value = kept.views[0]["mixer"].sequence[name]
    require(bool(value.any()), f'the mixer declares "{name}" a sequence and keeps nothing there')


@check("graph", slots=ATTENTION, needs=CACHED, when=decodes, quick=1, full=3)
def graph(trial: Trial) -> None:
    """A prompt and many steps on a state are two graphs, whatever their number and that of the layers; nothing moves.

    In full these are 50 steps of 12 mixers, quickly a few of two. A new graph in the middle costs seconds, and a tensor
    of the state that is replaced rather than written into cannot be captured by a GPU. It fails where Python numbers,
    shapes or branches depend on how long a sequence has become.
    """
    made = drawn(trial)
    layers, steps = (TWELVE, FIFTY) if trial.full else (2, 4)
    model, rows = mixers_of(made, layers), 2
    kept = make_state(model, rows, steps + 3, memory=4, cache=installed_cache(trial))
    one_graph(model, kept, inputs(trial, made, rows, steps + 3), prompt=3, told=memory_for(trial, made, rows))
