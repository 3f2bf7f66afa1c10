"""Numbers in 8 bits, with a scale. Legend: … rows, positions and heads, E the last axis of a field, P its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_build import Field

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.generate.int8_config import int8

LARGEST = 127
SCALE = ".scale"


class Int8:
    """Two planes: numbers [..., E] in int8, and beside them scales [..., P] in float32, or wider where the field is.

    Integers, and fields without an axis, stay as they are. What holds a number that is not finite reads as NaN, in its
    own part alone.
    """

    def __init__(self, config: int8, context: Context) -> None:
        pass

    def planes(self, field: Field) -> Mapping[str, Field]:
        if not _is_coded(field):
            return {"": field}
        assert field.dtype is not None, "the dtype of a field that is stored is stated"
        scale = Field((*field.shape[:-1], len(_parts(field))), dtype=torch.promote_types(field.dtype, torch.float32))
        return {"": replace(field, dtype=torch.int8), SCALE: scale}

    def encode(self, value: Tensor, field: Field) -> Mapping[str, Tensor]:
        planes, parts = self.planes(field), _parts(field)
        if SCALE not in planes:
            return {"": value.to(field.dtype)}
        wide = value.to(planes[SCALE].dtype)
        scale = torch.stack([part.abs().amax(-1) for part in wide.split(parts, -1)], -1) / LARGEST
        # NaN, which a scale of 0 gives too, has no integer
        ratio = (wide / _spread(scale, parts)).nan_to_num(0)
        numbers = ratio.round().clamp(-LARGEST, LARGEST).to(torch.int8)
        return {"": numbers, SCALE: scale}

    def decode(self, stored: Mapping[str, Tensor], field: Field) -> Tensor:
        if SCALE not in stored:
            return stored[""]
        return (stored[""] * _spread(stored[SCALE], _parts(field))).to(field.dtype)


def _is_coded(field: Field) -> bool:
    return bool(field.shape) and field.dtype is not None and field.dtype.is_floating_point


def _parts(field: Field) -> Sequence[int]:
    return field.parts or field.shape[-1:]


def _spread(scale: Tensor, parts: Sequence[int]) -> Tensor:
    """[..., P] → [..., E]: every part's scale at each of its numbers; [..., 1] where there is one part."""
    if len(parts) == 1:
        return scale
    pieces = zip(scale.split(1, -1), parts, strict=True)
    return torch.cat([each.expand(*scale.shape[:-1], width) for each, width in pieces], -1)
