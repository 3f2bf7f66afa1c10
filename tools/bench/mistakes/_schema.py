"""The dataclasses that hydra and OmegaConf validate against; what types cannot say is checked in `__post_init__`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from omegaconf import MISSING


class Norm(Enum):
    rms = "rms"
    layer = "layer"


class Attention(Enum):
    gqa = "gqa"


class Ffn(Enum):
    swiglu = "swiglu"


class Optimizer(Enum):
    adamw = "adamw"


class Schedule(Enum):
    warmup_cosine = "warmup_cosine"


@dataclass
class NormConfig:
    kind: Norm = MISSING
    eps: float = 1e-6


@dataclass
class AttentionConfig:
    kind: Attention = MISSING
    heads: int = MISSING
    kv_heads: int | None = None


@dataclass
class FfnConfig:
    kind: Ffn = MISSING
    hidden: int = MISSING


@dataclass
class BlockConfig:
    norm: NormConfig = field(default_factory=NormConfig)
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    ffn: FfnConfig = field(default_factory=FfnConfig)


@dataclass
class ModelConfig:
    dim: int = MISSING
    vocab: int = MISSING
    context: int = MISSING
    dropout: float = 0.0
    layers: int = MISSING
    block: BlockConfig = field(default_factory=BlockConfig)
    norm: NormConfig = field(default_factory=NormConfig)

    def __post_init__(self) -> None:
        # the class itself is made with its fields missing
        if isinstance(self.dim, int) and isinstance(self.block.attention.heads, int):
            self._check(self.block.attention.heads)

    def _check(self, heads: int) -> None:
        wrong = []
        if self.dim % heads:
            valid = [each for each in range(1, self.dim + 1) if self.dim % each == 0]
            wrong.append(f"heads must divide dim = {self.dim}: one of {valid}; {heads} arrived")
        if not 0 <= self.dropout < 1:
            wrong.append(f"dropout must be at least 0 and less than 1; {self.dropout} arrived")
        if wrong:
            raise ValueError("; ".join(wrong))


@dataclass
class OptimizerConfig:
    kind: Optimizer = MISSING
    lr: float = 3e-4


@dataclass
class ScheduleConfig:
    kind: Schedule = MISSING
    warmup: int = 0
    floor: float = 0.0


@dataclass
class TrainConfig:
    steps: int = MISSING
    batch: int = MISSING
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)


@dataclass
class Spec:
    width: int = MISSING
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
