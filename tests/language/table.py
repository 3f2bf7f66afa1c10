"""A position component with weights, to see who shares them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_build import Config, component

if TYPE_CHECKING:
    from torch import Tensor

    from llm_build import Context


@component("position:test.table", module="tests.language.table:Table", capabilities=["rotary"])
class table(Config):
    """Scales each head dimension by a learned weight."""


class Table:
    def __new__(cls, config: table, context: Context) -> Table:
        from torch import nn, ones

        class Module(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.weight = nn.Parameter(ones(context.need("head_dim")))

            def rotate(self, x: Tensor, positions: Tensor) -> Tensor:
                return x * self.weight

        return Module()  # type: ignore[return-value]
