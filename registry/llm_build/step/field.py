"""Field and StateSpec: what a sequence mixer declares that it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a mixer keeps.

    `shape` is that of one token, one sequence or one place of a memory: (K, E) for keys, (H, E, E) for a recurrent
    state. `per` says which: a token field grows with the sequence, a sequence field is overwritten, a memory field
    holds what was made of the vectors that came with a call, until others come. `dtype` is the model's unless stated.
    `reach`: of a token field, only the latest `reach` tokens are ever read. `parts`: what the last axis consists of, as
    widths that sum to it; a codec scales each part by itself. None: the whole axis is one.

    Raises `ValueError` for parts that do not sum to the last axis.
    """

    shape: tuple[int, ...]
    per: Literal["token", "sequence", "memory"] = "token"
    dtype: torch.dtype | None = None
    reach: int | None = None
    parts: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.parts is not None and (min(self.parts, default=0) < 1 or sum(self.parts) != (self.shape or (0,))[-1]):
            raise ValueError(f"the parts of a field sum to its last axis; {self.parts} of {self.shape} arrived")

    def zeros(self, *lead: int, like: torch.Tensor) -> torch.Tensor:
        """Zeros [*lead, *shape] on the device of `like`, in the field's dtype or in that of `like`."""
        return torch.zeros(*lead, *self.shape, dtype=self.dtype or like.dtype, device=like.device)


StateSpec = Mapping[str, Field]
"""What one mixer keeps, by name; `mixer.state_spec`, fixed at construction."""
