"""Step: what one call tells every mixer. Legend: B rows, T new positions, S positions a query may see, H query heads,
K key/value heads, E head dim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from llm_build.attend import Options, Places, attend
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
    span       static: no row is longer than this, so that the cost follows the length in use; 0 without a state
    view       the storage of the mixer at hand, or of all below where this step stands; None without a state
    plain      static: nothing but causality decides what is seen, so the fused kernel may run
    """

    index: Tensor
    positions: Tensor
    count: Tensor | None = None
    documents: Tensor | None = None
    lengths: Tensor | None = None
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
    ) -> Step:
        """The step of a whole model, from the arguments of its call. Real tokens stand first in their row.

        Raises `GenerationError` for a state under gradients or beside documents, `CapacityError` for other rows.
        """
        rows, new = tokens.shape
        if state is None:
            place = torch.arange(new, device=tokens.device).expand(rows, new)
            return cls(
                index=_index(place, count),
                positions=_or(positions, place),
                count=count,
                documents=documents,
                plain=count is None and documents is None,
            )
        _refuse_misuse(state, rows, documents)
        index, natural = state.begin(count, new)
        lengths = state.lengths + (new if count is None else count)
        return cls(
            index=index,
            positions=_or(positions, natural),
            count=count,
            lengths=lengths,
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
        k: Tensor,
        v: Tensor | None = None,
        *,
        expand: Callable[..., tuple[Tensor, Tensor]] | None = None,
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
        (q_index [B, T, 1], k_index [B, 1, S]) → [B, H, T, S] and bool [B, T, S]. A query with nothing to see gives
        zeros. `dropout` acts whenever it is not 0: pass it while training only.
        """
        stored = {"k": k} if v is None else {"k": k, "v": v}
        k_index = self.index
        if isinstance(self.view, View):
            stored, k_index = self.view.extend(stored, self)
        keys, values = expand(*stored.values()) if expand else (stored["k"], stored.get("v", stored["k"]))
        places = Places(
            q_index=self.index,
            k_index=k_index,
            documents=self.documents,
            plain=self.plain,
            padded=self.count is not None,
        )
        options = Options(
            causal=causal,
            window=window,
            scale=scale,
            softcap=softcap,
            sinks=sinks,
            bias=bias,
            mask=mask,
            dropout=dropout,
        )
        return attend(q, keys, values, places, options)

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
