"""`make_state`: a state as a cache lays it out; and what it will take, known before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from llm_build.context import Context
from llm_build.devices import free_memory
from llm_build.errors import CapacityError
from llm_build.step.room import StateMemory
from llm_build.step.state import State
from llm_build.step.view import Sizes

if TYPE_CHECKING:
    from llm_build.interfaces import Cache
    from llm_build.step.field import StateSpec
    from llm_build.step.view import View


def make_state(
    model: Any,
    rows: int,
    capacity: int,
    max_step: int | None = None,
    memory: int = 0,
    cache: Cache | str = "dense",
) -> State:
    """A state for `rows` conversations of at most `capacity` tokens, taking at most `max_step` tokens a row and call.

    `memory` is the longest memory of a row, for models that read one. The state is allocated on the device of the
    model's weights and in their dtype, laid out by `cache`: a module of that slot, or the name of a component. Where it
    has a pool, all mixers draw on one. `max_step` is `capacity` unless given. Raises `CapacityError` for
    sizes that are too small.
    """
    sizes = Sizes(rows=rows, capacity=capacity, max_step=capacity if max_step is None else max_step, memory=memory)
    return _made(model.state_spec, sizes, cache, next(model.parameters()))


def state_memory(model: Any, sizes: Sizes, cache: Cache | str = "dense", *, beside: int = 0) -> StateMemory:
    """What a state of these sizes will take on the device of the model's weights, as `make_state` lays it out.

    Nothing is allocated there. `beside` are bytes that come with the state.
    """
    like = next(model.parameters())
    state = _made(model.state_spec, sizes, cache, torch.empty(0, dtype=like.dtype, device="meta"))
    return StateMemory(
        device=like.device.type,
        weights=sum(each.nbytes for each in (*model.parameters(), *model.buffers())),
        state=state.nbytes + beside,
        free=free_memory(like.device),
        sizes=sizes,
    )


def _made(specs: Sequence[Mapping[str, StateSpec]], sizes: Sizes, cache: Cache | str, like: Tensor) -> State:
    for name, least in (("rows", 1), ("capacity", 1), ("max_step", 1), ("memory", 0)):
        if getattr(sizes, name) < least:
            raise CapacityError(f"{name} must be at least {least}; {getattr(sizes, name)} arrived")
    layout = _named(cache) if isinstance(cache, str) else cache
    # tensors born under inference mode could not be written outside of it
    with torch.inference_mode(False):
        view = _maker(layout, sizes, like)
        views = [{name: view(spec) for name, spec in layer.items()} for layer in specs]
        return State(views, sizes, like.device)


def _maker(layout: Any, sizes: Sizes, like: Tensor) -> Callable[[StateSpec], View]:
    """What allocates the storage of a mixer: the cache, or the pool that it makes for this state."""
    if callable(getattr(layout, "pool", None)):
        made: Callable[[StateSpec], View] = layout.pool(sizes, like).view
        return made
    return lambda spec: layout.view(spec, sizes, like)


def _named(name: str) -> Cache:
    from llm_build.registry import installed

    cache: Cache = installed().config("cache", name)().build(Context())
    return cache
