"""The masks' configs."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, component, size


@component("mask:causal", module="llm_build_plugins.attention.mask_module:Causal", capabilities=["causal"])
class causal(Config):
    """A query sees itself and what came before."""


@component("mask:full", module="llm_build_plugins.attention.mask_module:Full")
class full(Config):
    """A query sees every position of its sequence: for encoders."""


@component("mask:sliding", module="llm_build_plugins.attention.mask_module:Sliding", capabilities=["causal", "window"])
class sliding(Config):
    """A query sees the `window` latest positions, its own among them; in an encoder, as many to either side.

    Source: Beltagy, Peters and Cohan 2020, "Longformer", section 3.1.
    """

    window: int = size(high=2**30, example=256, doc="positions to one side, with the query's own")

    def check_window(self, context: Context) -> Iterator[Problem]:
        if context.context is not None and self.window >= context.context:
            yield Problem(
                field="window",
                message=f"a window hides something only below the context = {context.context}; {self.window} arrived",
                help="write a smaller window, or mask = causal (full in an encoder)",
                severity="warning",
                code="W302",
                related=("context",),
            )
