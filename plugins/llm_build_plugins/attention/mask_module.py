"""The masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_build import Context
    from llm_build_plugins.attention import mask_config


class Causal:
    """A query at i sees the keys at j ≤ i."""

    causal = True
    window = None
    allowed = None

    def __init__(self, config: mask_config.causal, context: Context) -> None:
        pass


class Full:
    """A query sees every key."""

    causal = False
    window = None
    allowed = None

    def __init__(self, config: mask_config.full, context: Context) -> None:
        pass


class Sliding:
    """A query at i sees the keys at i - window < j ≤ i, and in an encoder at i - window < j < i + window."""

    allowed = None

    def __init__(self, config: mask_config.sliding, context: Context) -> None:
        self.causal = context.causal
        self.window = config.window
