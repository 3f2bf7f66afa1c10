"""The routers' configs."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from llm_build import Config, Context, Problem, component, flag, number, size


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Router(Config):
    """A linear map to one logit an expert, of which the k largest are chosen."""

    k: int = size(high=2**16, example=2, doc="experts a position")
    bias: bool = flag(default=False, doc="a bias on the logits")
    balance: float = number(
        default=0, low=0, doc="coefficient of the loss that spreads positions over the experts, while training"
    )

    def check(self, context: Context) -> Iterator[Problem]:
        experts = context.need("experts")
        if self.k > experts:
            yield Problem(
                field="k",
                message=f"k must be at most experts = {experts}; {self.k} arrived",
                help="k may be 1" if experts == 1 else f"k may be from 1 to {experts}",
                related=("experts",),
            )


@component("router:topk_softmax", module="llm_build_plugins.ffn.router_module:TopKSoftmax")
class topk_softmax(Router):
    """The k largest logits, and a softmax over those k alone: weights that sum to 1.

    Source: Jiang et al. 2024, "Mixtral of Experts", section 2.1; `balance`: Fedus, Zoph and Shazeer 2021, "Switch
    Transformers", equations 4 to 6.
    """


@component("router:softmax_topk", module="llm_build_plugins.ffn.router_module:SoftmaxTopK")
class softmax_topk(Router):
    """A softmax over all experts, of which the k largest are kept: weights that sum to less than 1.

    With `normalise` they are divided by their sum, which makes them those of `topk_softmax`.
    Source: Fedus, Zoph and Shazeer 2021, "Switch Transformers", section 2.1, with k = 1; Yang et al. 2024, "Qwen2
    Technical Report", section 2.2.2. `balance`: "Switch Transformers", equations 4 to 6.
    """

    normalise: bool = flag(default=False, doc="divide the k weights by their sum")
