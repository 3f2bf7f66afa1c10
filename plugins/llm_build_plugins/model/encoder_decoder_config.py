"""The encoder–decoder's config."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from llm_build import Config, Context, Problem, component, number, part, size
from llm_build_plugins.model._advice import ragged_vocab

SPECIMEN = """llm 1
let enc = block {{ norm = {norm}, placement = {placement}, attention = mha {{ heads = 2, mask = full }}, ffn = {ffn} }}
let dec = enc {{ attention = mha {{ heads = 2 }}, cross = gqa {{ heads = 2 }} }}
model = encoder_decoder {{
  dim = 8, context = 16, vocab = 11, dropout = {dropout}
  position = {position}, embedding = token {{ shared = {shared} }}
  encoder = stack {{ layers = 2 * enc, norm = {norm} }}
  decoder = stack {{ layers = 2 * dec, norm = {norm} }}
}}
"""
SPECIMENS = (
    {"norm": "layer", "placement": "post", "ffn": "mlp", "dropout": 0.1, "position": "sinusoidal", "shared": "true"},
    {"norm": "rms", "placement": "pre", "ffn": "swiglu", "dropout": 0, "position": "rope", "shared": "false"},
)


@component(
    "model:encoder_decoder",
    module="llm_build_plugins.model.encoder_decoder_module:EncoderDecoder",
    capabilities=["causal", "cache", "encoder"],
)
class encoder_decoder(Config):
    """A model that reads a source as a whole, then writes: a stack for each, and a head.

    The layers of the decoder stack read what the encoder made where they have `cross`. With `token { shared = true }`
    both stacks read one table of embeddings.
    Source: Vaswani et al. 2017, "Attention is all you need", section 3.
    """

    dim: int = size(high=2**20, example=256, doc="the width of both residual streams")
    vocab: int = size(high=2**24, inherit="vocab", doc="rows of the embedding; the tokenizer's unless stated")
    context: int = size(high=2**30, example=1_024, doc="the longest source and the longest text, in tokens")
    dropout: float = number(low=0, below=1, default=0, doc="before each stack, of attention weights and of branches")
    position: Config | None = part("position", optional=True, doc="of both stacks, unless they state their own")
    embedding: Config = part("embedding", default="token")
    encoder: Any = part("stack", doc="reads the source; its layers see all of it")
    decoder: Any = part(
        "stack",
        example="stack { layers = block { attention = mha { heads = 8 }, cross = mha { heads = 8 }, ffn = mlp } }",
        doc="writes; its layers see what came before, and through `cross` the source",
    )
    head: Config = part("head", default="linear")
    initialiser: Config = part("initialiser", default="normal")

    def inside(self, field: str, context: Context) -> Context:
        inner = context.provide(dim=self.dim, vocab=self.vocab, context=self.context, dropout=self.dropout)
        if field == "encoder":
            return inner.provide(position=self.position, causal=False)
        if field == "decoder":
            return inner.provide(position=self.position, causal=True, encoder_dim=self.dim)
        if field == "initialiser":
            return inner.with_(depth=max(len(self.encoder.layers), len(self.decoder.layers)))
        return inner

    @classmethod
    def specimens(cls, folder: Path) -> Sequence[Config]:
        from llm_build import load  # only whoever proves it reads specs

        return [load(SPECIMEN.format(**each)).model for each in SPECIMENS]

    def check_cross(self, context: Context) -> Iterator[Problem]:
        # a block of another plugin may read it by another name
        if all(hasattr(layer, "cross") and layer.cross is None for layer in self.decoder.layers):
            yield Problem(
                field="decoder",
                message="a layer of the decoder must read what the encoder made; none has cross",
                help="write cross = mha { … } in its blocks, or take model = decoder",
            )

    def check_vocab(self, context: Context) -> Iterator[Problem]:
        return ragged_vocab(self)
