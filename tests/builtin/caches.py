"""Every cache, the full pass that it must equal, and poison through the public door. Legend: B rows, T positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

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
caches = st.sampled_from(sorted(CACHES))
"""One of them, for laws of whole models; of each by itself, the conformance kit knows more."""


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


class Keeper(nn.Module):
    """A model of mixers that keep what they are given: the storage of each, driven by hand, in float64."""

    def __init__(self, *specs: Mapping[str, Field]) -> None:
        super().__init__()
        self.state_spec = [{"mixer": spec} for spec in specs]
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def feed(self, state: State, new: Mapping[str, Tensor], counts: Sequence[int], way: str = "extend") -> list[Any]:
        """Give every mixer the first counts[b] of new [B, T, …] → what each is given back: (fields, k_index)."""
        count = torch.tensor(counts)
        state.reserve(counts)
        with torch.no_grad():
            step = Step.begin(torch.zeros(next(iter(new.values())).shape[:2], dtype=torch.int64), state, count=count)
        parts: list[Any] = [step.at(number).at("mixer") for number in range(len(self.state_spec))]
        read = [
            getattr(part.view, way)({name: each for name, each in new.items() if name in layer["mixer"]}, part)
            for part, layer in zip(parts, self.state_spec, strict=True)
        ]
        state.advance(count)
        return read


def full_pass(model: Any, tokens: Tensor, cache: str | None, **memory: Tensor) -> Tensor:
    """tokens [B, T] → logits [B, T, V] with nothing kept between calls; numbers are rounded as by the cache."""
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


def tensors_of(state: State) -> list[Tensor]:
    """All that the mixers of a state hold, and what they draw on together."""
    views = [view for layer in state.views for view in layer.values()]
    pools = dict.fromkeys(view.pool for view in views if view.pool is not None)
    return [each for holder in (*views, *pools) for each in holder.tensors()]


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
