"""The decoder-only language model. Legend: B rows, T positions, D model dim, V vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from llm_build import Step, can
from llm_build_plugins.model._shared import dropout, through

if TYPE_CHECKING:
    from llm_build import Context, State
    from llm_build_plugins.model.decoder_config import decoder


class Decoder(nn.Module):
    """tokens [B, T] → logits [B, T, V]: head(norm(layers(embedding(tokens))))."""

    def __init__(self, config: decoder, context: Context) -> None:
        super().__init__()
        self.context, self.vocab = config.context, config.vocab
        self.embedding = config.part("embedding", context)
        self.position = config.part("position", context) if can(config.position, "additive") else None
        self.dropout = dropout(config.dropout)
        self.layers = nn.ModuleList(config.parts("layers", context))
        self.norm = config.part("norm", context)
        self.head = config.part("head", context)
        self.head.tie(self.embedding)
        self.initialiser = config.part("initialiser", context)
        self.state_spec = [layer.state_spec for layer in self.layers]

    def forward(
        self,
        tokens: Tensor,
        state: State | None = None,
        *,
        count: Tensor | None = None,
        positions: Tensor | None = None,
        documents: Tensor | None = None,
    ) -> Tensor:
        """tokens [B, T] int64 → logits [B, T, V]. Real tokens stand first in their row; `count` [B] says how many.

        With a `state`, after `state.reserve`, the tokens continue what each row holds. Raises `GenerationError` for a
        state under gradients or beside `documents`, `CapacityError` where the state does not fit.
        """
        x, _ = self.hidden(tokens, state, count=count, positions=positions, documents=documents)
        logits: Tensor = self.head(x)
        return logits

    def hidden(
        self,
        tokens: Tensor,
        state: State | None = None,
        *,
        count: Tensor | None = None,
        positions: Tensor | None = None,
        documents: Tensor | None = None,
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The same arguments → what the head receives [B, T, D], and the losses, each summed over the layers."""
        step = Step.begin(tokens, state, count=count, positions=positions, documents=documents)
        x = self.embedding(tokens)
        if self.position is not None:
            x = self.position.embed(x, step.positions)
        x, losses = through(self.layers, self.dropout(x), step)
        if state is not None:
            state.advance(tokens.shape[1] if count is None else count)
        return self.norm(x), losses
