"""What rotary and sinusoidal positions share: frequencies that no cast makes coarse."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn


def turns(theta: float, dims: int, like: Tensor) -> Tensor:
    """theta^(-2i / dims) radians a position for pair i of `dims` dimensions, in float32 or wider, where `like` is.

    Of an odd number of dimensions the last is half a pair.
    """
    wide = torch.promote_types(like.dtype, torch.float32)
    return theta ** -(torch.arange(0, dims, 2, device=like.device, dtype=wide) / dims)


class WithFrequencies(nn.Module):
    """A module with a buffer `frequencies`, which is computed anew wherever the module goes."""

    frequencies: Tensor

    @abstractmethod
    def _frequencies(self, like: Tensor) -> Tensor:
        """Radians a position, on the device of `like` and in its dtype, float32 at least."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # bfloat16 must not round the frequencies, float64 must not keep float32's, to_empty must not lose them
        nn.Module._apply(self, fn, recurse)
        self.frequencies = self._frequencies(self.frequencies)
        return self
