"""A short causal depthwise convolution. Legend: B rows, T positions, C channels, W taps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from llm_build import ParameterGroup

if TYPE_CHECKING:
    from collections.abc import Mapping


class ShortConvolution(nn.Module):
    """silu(Σ_w weight[:, w] · x_{t-W+1+w}), each channel by itself; the last tap is that of the token itself."""

    parameter_groups: ClassVar[Mapping[str, ParameterGroup]] = {"weight": ParameterGroup(matrix=False)}

    def __init__(self, channels: int, taps: int) -> None:
        super().__init__()
        # as torch draws an nn.Conv1d; a model's initialiser draws anew
        self.weight = nn.Parameter(torch.empty(channels, taps).uniform_(-(taps**-0.5), taps**-0.5))

    def initialise(self, draw: Callable[[Tensor], None]) -> None:
        draw(self.weight)

    def forward(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        """x [B, W - 1 + T, C], the inputs that came before first → [B, T, C] in float32 or wider.

        `segments` [B, T], 0 or more: what came before is seen only where it is of the same one.
        """
        weight = self.weight.to(torch.promote_types(x.dtype, torch.float32))
        before = weight.shape[1] - 1
        length = x.shape[1] - before
        y = x[:, before:] * weight[:, before]
        for tap in range(before):
            seen = x[:, tap : tap + length]
            if segments is not None:
                seen = seen.where(goes_on(segments, before - tap)[..., None], 0)
            y = y + seen * weight[:, tap]
        return nn.functional.silu(y)

    def latest(self, x: Tensor, count: Tensor | None) -> Tensor:
        """x [B, W - 1 + T, C] → the last W - 1 inputs [B, W - 1, C] once `count` [B] of the T new ones are taken."""
        before = self.weight.shape[1] - 1
        if count is None:
            return x[:, x.shape[1] - before :]
        place = count[:, None] + torch.arange(before, device=x.device)
        return x.gather(1, place[..., None].expand(-1, -1, x.shape[-1]))


def goes_on(segments: Tensor, back: int) -> Tensor:
    """Whether a place is of the segment that stood `back` places before it [B, T]; none stood before the first."""
    return nn.functional.pad(segments, (back, 0), value=-1)[:, : segments.shape[1]].eq(segments)
