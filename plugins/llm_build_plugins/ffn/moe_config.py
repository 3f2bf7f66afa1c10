"""The mixture of experts' config."""

from __future__ import annotations

from llm_build import Config, Context, can, component, part, size, walk


@component("ffn:moe", module="llm_build_plugins.ffn.moe_module:MoE")
class moe(Config):
    """A mixture of experts: a router sends each position to k of them, and their outputs are added by its weights.

    Experts whose every component has the capability "grouped" are one bank: their weights are stacked, and each runs on
    its own positions alone. Any other ffn is built `experts` times, and each runs on all positions, which costs
    experts / k times as much. `shared` runs on all positions and is added as it is.
    Source: Shazeer et al. 2017, "Outrageously large neural networks", section 2; `shared`: Dai et al. 2024,
    "DeepSeekMoE", section 3.2.
    """

    experts: int = size(high=2**16, example=8, doc="how many there are to choose from")
    router: Config = part("router", default="topk_softmax", doc="who goes where")
    expert: Config = part("ffn", doc="what each of them is")
    shared: Config | None = part("ffn", optional=True, doc="one that every position goes through")

    def inside(self, field: str, context: Context) -> Context:
        return context.provide(experts=self.experts if field in ("router", "expert") else None)

    @property
    def grouped(self) -> bool:
        """Whether the experts are one bank."""
        return all(can(each, "grouped") for each in walk(self.expert))
