"""Numbers as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from llm_build import Context, Field
    from llm_build_plugins.generate.raw_config import raw


class Raw:
    """One plane: the field itself."""

    def __init__(self, config: raw, context: Context) -> None:
        pass

    def planes(self, field: Field) -> Mapping[str, Field]:
        return {"": field}

    def encode(self, value: Tensor, field: Field) -> Mapping[str, Tensor]:
        return {"": value.to(field.dtype)}

    def decode(self, stored: Mapping[str, Tensor], field: Field) -> Tensor:
        return stored[""]
