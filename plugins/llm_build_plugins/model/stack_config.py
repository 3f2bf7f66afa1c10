"""The stack's config."""

from __future__ import annotations

from llm_build import Config, Context, can, component, number, part, parts


@component("stack:stack", module="llm_build_plugins.model.stack_module:Stack")
class stack(Config):
    """Layers on top of each other, for a model that has more than one such stack.

    `position` is handed down to the attentions where it rotates, and added before the first layer where it is additive.
    Stated here, all layers of this stack share it; inherited, both stacks share one.
    Source: Vaswani et al. 2017, "Attention is all you need", section 3.1.
    """

    position: Config | None = part("position", inherit="position", optional=True, once=True)
    dropout: float = number(low=0, below=1, inherit="dropout", doc="before the first layer, while training")
    layers: tuple[Config, ...] = parts("block", doc="the layers, from the embedding upwards")
    norm: Config | None = part("norm", default=None, optional=True, doc="after the last layer")

    def inside(self, field: str, context: Context) -> Context:
        if field == "layers":
            return context.provide(position=self.position if can(self.position, "rotary") else None)
        return context
