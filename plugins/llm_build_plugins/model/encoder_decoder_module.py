"""The encoder–decoder. Legend: B rows, T positions, M positions of the source, D model dim, V vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from llm_build import GenerationError, Step

if TYPE_CHECKING:
    from llm_build import Context, State
    from llm_build_plugins.model.encoder_decoder_config import encoder_decoder


class EncoderDecoder(nn.Module):
    """tokens [B, T] and a memory [B, M, D] → logits [B, T, V]; `encode` makes the memory of a source [B, M]."""

    def __init__(self, config: encoder_decoder, context: Context) -> None:
        super().__init__()
        self.context, self.vocab = config.context, config.vocab
        self.embedding = config.part("embedding", context)
        shared = getattr(config.embedding, "shared", False)
        self.source_embedding = None if shared else config.part("embedding", context)
        self.encoder = config.part("encoder", context)
        self.decoder = config.part("decoder", context)
        self.head = config.part("head", context)
        self.head.tie(self.embedding)
        self.initialiser = config.part("initialiser", context)
        self.state_spec = self.decoder.state_spec

    def encode(self, tokens: Tensor, count: Tensor | None = None) -> Tensor:
        """source [B, M] int64 → memory [B, M, D]. Real tokens stand first in their row; `count` [B] says how many."""
        memory, _ = self.encoded(tokens, count)
        return memory

    def encoded(self, tokens: Tensor, count: Tensor | None = None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The same arguments → the memory [B, M, D], and the losses of the encoder, each summed over its layers."""
        step = Step.begin(tokens, count=count)
        embed = self.embedding if self.source_embedding is None else self.source_embedding
        memory, losses = self.encoder(embed(tokens), step)
        return memory, losses

    def forward(
        self,
        tokens: Tensor,
        state: State | None = None,
        *,
        count: Tensor | None = None,
        positions: Tensor | None = None,
        documents: Tensor | None = None,
        memory: Tensor | None = None,
        memory_count: Tensor | None = None,
    ) -> Tensor:
        """tokens [B, T] int64 → logits [B, T, V], given what `encode` made of the source.

        `memory_count` [B] says how many places of each row's memory are real. With a `state`, a call without a memory
        reads what the row has stored, and so does a row whose `memory_count` is -1. Raises as `Decoder` does, and
        `GenerationError` where there is no memory to read or one that does not fit the tokens.
        """
        x, _ = self.hidden(
            tokens,
            state,
            count=count,
            positions=positions,
            documents=documents,
            memory=memory,
            memory_count=memory_count,
        )
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
        memory: Tensor | None = None,
        memory_count: Tensor | None = None,
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The same arguments → what the head receives [B, T, D], and the losses of the decoder."""
        if memory is None and (state is None or not state.memory):
            raise GenerationError("this model reads a source: pass memory=model.encode(source)")
        step = Step.begin(
            tokens,
            state,
            count=count,
            positions=positions,
            documents=documents,
            memory=memory,
            memory_count=memory_count,
        )
        x, losses = self.decoder(self.embedding(tokens), step)
        if state is not None:
            state.advance(tokens.shape[1] if count is None else count)
        return x, losses
