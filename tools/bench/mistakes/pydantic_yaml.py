"""pydantic over PyYAML: closed models, components as a union told apart by `kind`, anchors as references.

PyYAML takes a key twice and keeps the last, so the loader is the usual one that refuses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from _probe import probe
from _yaml import YAML_SEEDS
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

GOOD = """\
model:
  dim: &width 64
  vocab: 2048
  context: 128
  dropout: 0.1
  layers: 2
  block:
    norm: {kind: rms}
    attention: {kind: gqa, heads: 4, kv_heads: 2}
    ffn: {kind: swiglu, hidden: *width}
  norm: {kind: layer}
train:
  steps: 100
  batch: 8
  optimizer: {kind: adamw, lr: 3.0e-4}
  schedule: {kind: warmup_cosine, warmup: 10, floor: 0.01}
"""
SEEDS = {**YAML_SEEDS, "undefined reference": ("*width", "*widht")}


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RMS(Closed):
    kind: Literal["rms"]
    eps: float = Field(1e-6, gt=0)


class Layer(Closed):
    kind: Literal["layer"]
    eps: float = Field(1e-5, gt=0)


Norm = Annotated[RMS | Layer, Field(discriminator="kind")]


class GQA(Closed):
    kind: Literal["gqa"]
    heads: int = Field(ge=1)
    kv_heads: int | None = Field(None, ge=1)


class SwiGLU(Closed):
    kind: Literal["swiglu"]
    hidden: int = Field(ge=1)


class Block(Closed):
    norm: Norm
    attention: GQA
    ffn: SwiGLU


class Decoder(Closed):
    dim: int = Field(ge=1)
    vocab: int = Field(ge=1)
    context: int = Field(ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    layers: int = Field(ge=1)
    block: Block
    norm: Norm

    @model_validator(mode="after")
    def heads_divide(self) -> Decoder:
        heads = self.block.attention.heads
        if self.dim % heads:
            valid = [each for each in range(1, self.dim + 1) if self.dim % each == 0]
            raise ValueError(f"heads must divide dim = {self.dim}: one of {valid}; {heads} arrived")
        return self


class AdamW(Closed):
    kind: Literal["adamw"]
    lr: float = Field(3e-4, gt=0)


class WarmupCosine(Closed):
    kind: Literal["warmup_cosine"]
    warmup: int = Field(0, ge=0)
    floor: float = Field(0.0, ge=0, le=1)


class Pretrain(Closed):
    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    optimizer: AdamW
    schedule: WarmupCosine


class Spec(Closed):
    model: Decoder
    train: Pretrain


class Unique(yaml.SafeLoader):
    """Refuses a key that stands twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"found duplicate key {key.value}", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def report(text: str, folder: Path) -> str:
    try:
        Spec.model_validate(yaml.load(text, Unique))
    except (yaml.YAMLError, ValidationError) as fault:
        return str(fault)
    return ""


if __name__ == "__main__":
    probe("pydantic", GOOD, SEEDS, report)
