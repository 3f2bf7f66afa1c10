"""The routers' configs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from llm_build import Config, Context, Problem, component, divisors, flag, number, size


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


@component("router:topk_softmax", module="llm_build_plugins.ffn.router_module:TopKSoftmax", capabilities=["normalised"])
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


def all_groups(config: Any, _context: Any) -> int:
    groups: int = config.groups
    return groups


@component("router:sigmoid_groups", module="llm_build_plugins.ffn.router_module:SigmoidGroups")
class sigmoid_groups(Router):
    """Sigmoid scores; the k best within the best groups of experts are kept, and divided by their sum, times `scale`.

    Experts stand in `groups` equal groups, neighbours together; a group is as good as the sum of its two best scores,
    and the best `keep` are chosen from. Each expert has a correction that is added to its score where it is chosen and
    does not change its weight. It is 0 and stays so: raising it for experts with little to do is a step outside of the
    gradient, after each of the optimiser's, which nothing here does. A checkpoint that was imported brings its own;
    what is trained here is balanced by `balance`.
    Source: DeepSeek-AI 2024, "DeepSeek-V3 Technical Report", section 2.1.2; `balance` is its equations 17 to 20, over
    all positions of a call in place of one sequence; the groups: "DeepSeek-V2", section 2.2.2.
    """

    groups: int = size(high=2**16, default=1, doc="equal groups of experts, neighbours together")
    keep: int = size(high=2**16, derive=all_groups, says="groups", doc="groups that a position may choose from")
    scale: float = number(above=0, default=1, doc="what the k weights sum to")

    def check_groups(self, context: Context) -> Iterator[Problem]:
        experts = context.need("experts")
        if experts % self.groups:
            yield Problem(
                field="groups",
                message=f"groups must divide experts = {experts}; {self.groups} arrived",
                help=f"groups may be {divisors(experts)}",
                code="E302",
                related=("experts",),
            )
            return
        if self.keep > self.groups:
            yield Problem(
                field="keep",
                message=f"keep must be at most groups = {self.groups}; {self.keep} arrived",
                help="keep may be 1" if self.groups == 1 else f"keep may be from 1 to {self.groups}",
                related=("groups",),
            )
        elif self.keep * experts // self.groups < self.k <= experts:
            there = self.keep * experts // self.groups
            yield Problem(
                field="k",
                message=f"k must be at most the {there} experts of {self.keep} groups; {self.k} arrived",
                help=f"choose a smaller k, or keep = {-(-self.k * self.groups // experts)} groups",
                related=("experts", "groups", "keep"),
            )
