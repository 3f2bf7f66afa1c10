"""Step: what one call tells every mixer. Legend: B rows, T new positions, S positions a query may see, H query heads,
K key/value heads, E head dim, M memory length, D model dim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from llm_build.attend import InOrder, Options, Places, attend
from llm_build.errors import CapacityError, GenerationError
from llm_build.step.view import View

if TYPE_CHECKING:
    from llm_build.attend import Relation
    from llm_build.step.field import Field
    from llm_build.step.state import State

    Views = View | Mapping[str, View] | Sequence[Mapping[str, View]]


# a dataclass, not attrs: torch.compile traces the construction of this one
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """What one call tells every mixer. Integers only, nothing remembered, no layer number.

    index      [B, T] int64: the place in the sequence, -1 = no token; masks, windows and cells use this
    positions  [B, T] int64: what position components see, never the mask
    count      [B] int64: real tokens, first in their row; None = all T
    documents  [B, T] int64: which document a token belongs to, in packed training; never with a state
    lengths    [B] int64: tokens in each row with this call's own; None without a state
    memory     [B, M, D]: vectors to read beside the sequence, where this call brings them
    memory_count    [B] int64: how many of them are real; -1 keeps what the row has stored; None = all M
    memory_lengths  [B] int64: places of each row's memory, stored or new; None = all M
    span       static: no row is longer than this, so that the cost follows the length in use; 0 without a state
    view       the storage of the mixer at hand, or of all below where this step stands; None without a state
    plain      static: nothing but causality decides what is seen, so the fused kernel may run
    """

    index: Tensor
    positions: Tensor
    count: Tensor | None = None
    documents: Tensor | None = None
    lengths: Tensor | None = None
    memory: Tensor | None = None
    memory_count: Tensor | None = None
    memory_lengths: Tensor | None = None
    span: int = 0
    view: Views | None = None
    plain: bool = False

    @classmethod
    def begin(
        cls,
        tokens: Tensor,
        state: State | None = None,
        *,
        count: Tensor | None = None,
        positions: Tensor | None = None,
        documents: Tensor | None = None,
        memory: Tensor | None = None,
        memory_count: Tensor | None = None,
    ) -> Step:
        """The step of a whole model, from the arguments of its call. Real tokens stand first in their row.

        Raises `GenerationError` for a state under gradients or beside documents and for a memory that does not fit the
        tokens, `CapacityError` for other rows and for a memory that the state has no room for.
        """
        rows, new = tokens.shape
        _refuse_memory(memory, memory_count, rows, least=0 if state is None else -1)
        if state is None:
            place = torch.arange(new, device=tokens.device).expand(rows, new)
            return cls(
                index=_index(place, count),
                positions=_or(positions, place),
                count=count,
                documents=documents,
                memory=memory,
                memory_count=memory_count,
                memory_lengths=memory_count,
                plain=count is None and documents is None,
            )
        _refuse_misuse(state, rows, documents)
        index, natural = state.begin(count, new)
        if memory is not None:
            memory_count = state.remember(memory, memory_count)
        lengths = state.lengths + (new if count is None else count)
        return cls(
            index=index,
            # what is no token may lie beyond the places that a position component knows
            positions=_or(positions, natural.where(index >= 0, 0)),
            count=count,
            lengths=lengths,
            memory=memory,
            memory_count=memory_count,
            memory_lengths=state.memory_lengths,
            span=state.span,
            view=state.views,
        )

    def at(self, key: str | int) -> Step:
        """The step of one part: a model hands a layer its own by number, a block a mixer its own by name."""
        if self.view is None:
            return self
        below: Any = self.view
        return replace(self, view=below[key])

    def attend(
        self,
        q: Tensor,
        k: Tensor | None,
        v: Tensor | None = None,
        *,
        expand: Callable[..., tuple[Tensor, Tensor]] | None = None,
        source: Literal["tokens", "memory"] = "tokens",
        causal: bool = True,
        window: int | None = None,
        scale: float | None = None,
        softcap: float | None = None,
        sinks: Tensor | None = None,
        bias: Relation | None = None,
        mask: Relation | None = None,
        dropout: float = 0.0,
    ) -> Tensor:
        """q [B, T, H, E], k and v [B, T, K, …] → [B, T, H, Ev]; query head h reads key head h // (H / K).

        k and v are what is stored, under these names; v = None: one field holds both. `expand(k, v)`, or `expand(k)`,
        gives the keys and values to attend over where these are not what is stored. Scores are scaled by `scale`
        (1 / sqrt(E)), capped to ±`softcap`, then `bias` is added. `sinks` [H] are logits that take weight and give
        nothing. A `window` of w sees the w latest positions, its own among them. `bias` and `mask` are functions of
        (q_index [B, T, 1], k_index [B, 1, S]) → [B, H, T, S] and bool [B, T, S]; what they say of a query and a key
        rests on these two places alone, and a kernel may ask it of one pair at a time, [1, 1, 1]. A query with nothing
        to see gives zeros. `dropout` acts whenever it is not 0: pass it while training only.

        With `source` "memory", k and v [B, M, K, …] were made of `step.memory`; k = None where this call brings none,
        and what is stored is read. A query then sees the whole memory of its row: `causal` means nothing.
        """
        new = {name: each for name, each in (("k", k), ("v", v)) if each is not None}
        stored, places = self._memory(new) if source == "memory" else self._tokens(new)
        if expand is not None:
            if isinstance(places.k_index, InOrder):
                stored, where = places.k_index.rows(stored)
                places = replace(places, k_index=where)
            keys, values = expand(*stored.values())
        else:
            keys, values = stored["k"], stored.get("v", stored["k"])
        options = Options(
            causal=causal and source == "tokens",
            window=window,
            scale=scale,
            softcap=softcap,
            sinks=sinks,
            bias=bias,
            mask=mask,
            dropout=dropout,
        )
        return attend(q, keys, values, places, options)

    def _tokens(self, new: dict[str, Tensor]) -> tuple[dict[str, Tensor], Places]:
        """What the row has stored, new tokens included, and where it stands."""
        k_index: Tensor | InOrder = self.index
        if isinstance(self.view, View):
            new, k_index = self.view.store(new, self)
        padded = self.count is not None
        return new, Places(
            q_index=self.index, k_index=k_index, documents=self.documents, plain=self.plain, padded=padded
        )

    def _memory(self, new: dict[str, Tensor]) -> tuple[dict[str, Tensor], Places]:
        """The memory of each row, stored or new, and which of its places are real."""
        if isinstance(self.view, View):
            if new:
                assert self.memory_count is not None, "a state says how much of a memory is new"
                self.view.remember(new, self.memory_count)
            new = {name: self.view.memory[name] for name in ("k", "v") if name in self.view.memory}
        elif not new:
            raise GenerationError("this model reads a memory; none arrived: pass memory=model.encode(source)")
        k = next(iter(new.values()))
        lengths = self.memory_lengths
        k_index: Tensor | InOrder
        if lengths is None:
            k_index = torch.arange(k.shape[1], device=k.device).expand(k.shape[:2])
        else:
            k_index = InOrder(lengths=lengths, span=k.shape[1])
        whole = lengths is None and self.count is None
        return new, Places(q_index=self.index, k_index=k_index, plain=whole, padded=not whole)

    def carry(self, name: str, field: Field, like: Tensor) -> Tensor:
        """What the mixer kept under `name` [B, *field.shape]; zeros, on the device of `like`, without a state.

        It is the storage itself, which `keep` overwrites: read it first.
        """
        if isinstance(self.view, View):
            return self.view.sequence[name]
        return field.zeros(self.index.shape[0], like=like)

    def keep(self, name: str, value: Tensor) -> None:
        """Keep `value` [B, …], the state after `count` tokens of each row; does nothing without a state."""
        if isinstance(self.view, View):
            self.view.keep(name, value, self.count)


def _index(place: Tensor, count: Tensor | None) -> Tensor:
    if count is None:
        return place
    new = torch.arange(place.shape[1], device=place.device)
    return torch.where(new < count[:, None], place, -1)


def _or(given: Tensor | None, natural: Tensor) -> Tensor:
    return natural if given is None else given


def _refuse_misuse(state: State, rows: int, documents: Tensor | None) -> None:
    if torch.is_grad_enabled():
        raise GenerationError("a state is for inference: call the model under torch.inference_mode()")
    if documents is not None:
        raise GenerationError("documents are for packed training, a state for inference: pass one of the two")
    if rows != state.rows:
        raise CapacityError(f"this state holds {state.rows} rows; tokens of {rows} rows arrived")


def _refuse_memory(memory: Tensor | None, count: Tensor | None, rows: int, least: int) -> None:
    """`least` is the lowest count that means something."""
    if memory is None:
        if count is not None:
            raise GenerationError("memory_count says how much of a memory is real, and none arrived: pass memory too")
        return
    for name, given in (("memory", memory), ("memory_count", count)):
        if given is not None and given.shape[0] != rows:
            raise GenerationError(f"{name} must have {rows} rows, as the tokens have; {given.shape[0]} arrived")
    # on a GPU looking would wait for the device
    if count is None or count.device.type != "cpu" or torch.compiler.is_compiling():
        return
    width = memory.shape[1]
    if ((count < least) | (count > width)).any():
        raise GenerationError(
            f"memory_count goes from {least} to {width} for a memory of {width} places; {count.tolist()} arrived"
        )
