"""Every cache, the full pass that it must equal, and poison for it through the public door. Legend: B rows, T positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from llm_build import Config, Context, Field, State, Step, View, make_state
from llm_build.components import field_specs
from llm_build.registry import installed


def _every() -> dict[str, Config]:
    every = installed()
    found = {}
    for name in every.names("cache"):
        config = every.config("cache", name)
        # a page of 3 tokens ends within a span, and seldom where a text does
        sizes = {"page": 3} if "page" in field_specs(config) else {}
        for codec in every.names("codec") if "codec" in field_specs(config) else [None]:
            coded = {} if codec is None else {"codec": every.config("codec", codec)()}
            found[name if codec is None else f"{name}-{codec}"] = config(**sizes, **coded)
    return found


CACHES = _every()
"""Every layout with every codec, by "layout-codec"."""


class Whole:
    """A cache for one call with a whole text: it stores nothing and gives back what another one would have stored."""

    def __init__(self, cache: Any) -> None:
        self.cache = cache

    def view(self, spec: Mapping[str, Field], sizes: Any, like: Tensor) -> View:
        return WholeView(spec, sizes, like, self.cache.view(spec, sizes, like))


class WholeView(View):
    def __init__(self, spec: Mapping[str, Field], sizes: Any, like: Tensor, stored: View) -> None:
        super().__init__(spec, sizes, like)
        self.stored = stored

    def extend(self, new: Mapping[str, Tensor], step: Step) -> tuple[dict[str, Tensor], Tensor]:
        return self.stored.rounded(new), step.index

    def reset_cells(self, rows: Tensor) -> None: ...

    def fork_cells(self, source: Tensor, target: Tensor) -> None: ...


def full_pass(model: Any, tokens: Tensor, cache: str | None, **memory: Tensor) -> Tensor:
    """tokens [B, T] → logits [B, T, V] without what is kept between calls; as a cache that codes numbers rounds them."""
    if cache is None or cache.endswith("-raw"):
        full: Tensor = model(tokens, **memory)
        return full
    width = memory["memory"].shape[1] if memory else 0
    whole = Whole(CACHES[cache].build(Context()))
    state = make_state(model, *tokens.shape, memory=width, cache=whole)
    state.reserve(tokens.shape[1])
    with torch.no_grad():
        logits: Tensor = model(tokens, state, **memory)
    return logits


def state_of(model: Any, rows: int, cache: str | None, **sizes: int) -> State:
    """A state on the cache of this name; on the usual one for None."""
    return make_state(model, rows, **sizes, **({} if cache is None else {"cache": CACHES[cache].build(Context())}))


def poison(model: Any, state: State, counts: Sequence[int], value: float, memory: bool = False) -> None:
    """Append counts[b] tokens to row b of which every number that is kept is `value`; also its memory where asked.

    What is no token has that value too, and must not be stored.
    """
    state.reserve(counts)
    count, width = torch.tensor(counts), max(*counts, 1)
    with torch.no_grad():
        step = Step.begin(torch.zeros(len(counts), width, dtype=torch.int64), state, count=count)
    for number, layer in enumerate(model.state_spec):
        for name, spec in layer.items():
            part: Any = step.at(number).at(name)
            spoilt = {per: _full(spec, per, value) for per in ("token", "sequence", "memory")}
            if spoilt["token"]:
                tokens = {key: each.expand(len(counts), width, *each.shape) for key, each in spoilt["token"].items()}
                part.view.extend(tokens, part)
            for key, each in spoilt["sequence"].items():
                part.keep(key, each.expand(len(counts), *each.shape))
            if memory and spoilt["memory"]:
                places = {
                    key: each.expand(len(counts), state.memory, *each.shape) for key, each in spoilt["memory"].items()
                }
                part.view.remember(places, torch.where(count > 0, state.memory, -1))
    state.advance(count)


def _full(spec: Mapping[str, Field], per: str, value: float) -> dict[str, Tensor]:
    return {
        name: torch.full(field.shape, value if field.dtype is None else 77, dtype=field.dtype or torch.float64)
        for name, field in spec.items()
        if field.per == per
    }
