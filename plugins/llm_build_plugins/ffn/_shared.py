"""What the configs of feed-forward networks have in common."""

from __future__ import annotations

from typing import Any

import attrs

from llm_build import Config, flag, size

WIDEST = 2**24
"""The largest `hidden`."""


def two_thirds(_config: Any, context: Any) -> int:
    """8/3 · dim, so that three matrices weigh what the two of a plain network with 4 · dim do; a multiple of 8."""
    dim: int = context.need("dim")
    return 8 * -(-dim // 3)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Gated(Config):
    """A gated feed-forward network; subclasses say what acts on the gate."""

    hidden: int = size(
        high=WIDEST, derive=two_thirds, says="8 * dim / 3, up to a multiple of 8", doc="the width of the gate"
    )
    bias: bool = flag(default=False, doc="a bias on every linear map")
