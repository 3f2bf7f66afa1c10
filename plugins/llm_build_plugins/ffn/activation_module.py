"""The activations: elementwise, any shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.ffn.activation_config import gelu, relu, silu


class ReLU(nn.ReLU):
    """max(x, 0)."""

    def __init__(self, config: relu, context: Context) -> None:
        super().__init__()


class GELU(nn.GELU):
    """x · Φ(x)."""

    def __init__(self, config: gelu, context: Context) -> None:
        super().__init__(approximate=config.approximate)


class SiLU(nn.SiLU):
    """x · sigmoid(x)."""

    def __init__(self, config: silu, context: Context) -> None:
        super().__init__()
