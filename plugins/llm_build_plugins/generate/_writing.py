"""The step that writes a token a row. Legend: B rows, T positions, D model dim, V vocabulary."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from llm_build_plugins._thin import thin_products
from llm_build_plugins.generate._compile import Compiled
from llm_build_plugins.generate._sent import sent

if TYPE_CHECKING:
    from llm_build import State
    from llm_build_plugins.generate._draw import Draw


class Writing:
    """All rows of a state, or some that follow each other, with what a step reads and changes of them.

    It lies on the device and is changed in place, so that a step can be launched as a graph. `tokens` [B, 1] are the
    latest, which the next step feeds. `allowed` [B] says which rows may go on, `live` [B] which have not met [eos]: the
    host learns of that later than the device does. The model is held by whoever waits for its tokens, not here.

    A step runs compiled where `sampling` says which sampler it is; see `constants`.
    """

    def __init__(self, model: Any, state: State, draw: Draw, eos: int | None, sampling: Hashable | None = None) -> None:
        self._model, self._sampling = weakref.ref(model), sampling
        self.state, self.draw = state, draw
        self.device = state.lengths.device
        self.tokens = torch.zeros(state.rows, 1, dtype=torch.int64, device=self.device)
        self.live = torch.zeros(state.rows, dtype=torch.int64, device=self.device)
        self.allowed = torch.zeros_like(self.live)
        self._eos = -1 if eos is None else eos

    @property
    def model(self) -> Any:
        found = self._model()
        assert found is not None, "who writes holds the model"
        return found

    def range(self, start: int, stop: int) -> Writing:
        """The rows from `start` to `stop` - 1, on the same storage."""
        made = copy(self)
        made.state, made.draw = self.state.range(start, stop), self.draw.range(start, stop)
        made.tokens, made.live, made.allowed = (each[start:stop] for each in (self.tokens, self.live, self.allowed))
        return made

    def begin(self, rows: Sequence[int], seeds: Sequence[int], prompts: Sequence[Sequence[int]]) -> None:
        """Other texts begin in rows that were reset."""
        self.draw.begin(rows, seeds, prompts)
        self.live.index_fill_(0, sent(rows, self.device), 1)

    def move(self, source: Sequence[int], target: Sequence[int]) -> None:
        """Row source[i] becomes row target[i] and is free then; no row is both."""
        self.state.fork(source, target)
        self.state.reset(source)
        one, other = sent(source, self.device), sent(target, self.device)
        for each in (self.tokens, self.live, *self.draw.rows()):
            each[other] = each[one]

    @torch.no_grad()
    def read(self, tokens: Tensor, count: Tensor | None, drawing: Tensor | None, **memory: Tensor) -> None:
        """Read tokens [B, T], the first count[b] of row b, all without one; rows with 1 in `drawing` [B] draw then."""
        with thin_products(tokens):
            hidden = self._hidden(tokens, count, **memory)
        if drawing is not None:
            last = hidden[:, -1] if count is None else _last(hidden, count)
            with thin_products(drawing):
                self._draw(self.model.head(last), drawing)

    @torch.no_grad()
    def step(self) -> None:
        """A token for each row that is allowed and live. What it reads and writes stays where it is."""
        count, model = self.allowed * self.live, self.model
        if self._sampling is None:
            with thin_products(self.tokens):
                self.finish(model.head, self._hidden(self.tokens, count), count)
            return
        compiled = Compiled.of(model)
        with compiled.layers(model):
            hidden = self._hidden(self.tokens, count)
        compiled.run("sampling", _finish, self, model.head, hidden, count, kind=self._sampling)

    def finish(self, head: nn.Module, hidden: Tensor, count: Tensor) -> None:
        """hidden [B, 1, D] → the next token of each row, drawn and noted."""
        self._draw(head(hidden[:, -1]), count)

    def tensors(self) -> Sequence[Tensor]:
        """What a step changes beside the state."""
        return [self.tokens, self.live, *self.draw.tensors()]

    def _hidden(self, tokens: Tensor, count: Tensor | None, **memory: Tensor) -> Tensor:
        hidden: Tensor
        hidden, _ = self.model.hidden(tokens, self.state, count=count, **memory)
        return hidden

    def _draw(self, logits: Tensor, count: Tensor) -> None:
        new = self.draw.next(logits, count)
        self.tokens.copy_(torch.where(count[:, None] > 0, new, self.tokens))
        self.live.mul_(((count == 0) | (new[:, 0] != self._eos)).long())


def _last(hidden: Tensor, count: Tensor) -> Tensor:
    """hidden [B, T, D] → [B, D] of the last real token; that of a row without one means nothing."""
    place = (count - 1).clamp(min=0)[:, None, None].expand(-1, 1, hidden.shape[-1])
    return hidden.gather(1, place)[:, 0]


def _finish(writing: Writing, head: nn.Module, hidden: Tensor, count: Tensor) -> None:
    writing.finish(head, hidden, count)
