"""The block. Legend: B rows, T positions, D model dim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from llm_build import Context, Step
    from llm_build_plugins.model.block_config import block


class Block(nn.Module):
    """x [B, T, D] → [B, T, D] and the losses of its parts: the placement joins attention and ffn to the stream."""

    def __init__(self, config: block, context: Context) -> None:
        super().__init__()
        self.placement = config.part("placement", context)
        self.attention = config.part("attention", context)
        self.ffn = config.part("ffn", context)
        self.state_spec = {"attention": self.attention.state_spec}

    def forward(self, x: Tensor, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        losses: dict[str, Tensor] = {}

        def attend(x: Tensor) -> Tensor:
            mixed: Tensor = self.attention(x, step.at("attention"))
            return mixed

        def feed(x: Tensor) -> Tensor:
            fed: Tensor | tuple[Tensor, dict[str, Tensor]] = self.ffn(x)
            if isinstance(fed, tuple):
                losses.update(fed[1])
                return fed[0]
            return fed

        x = self.placement(x, (attend, feed))
        return x, losses
