"""The placements' configs."""

from __future__ import annotations

from llm_build import Config, component, number, part


@component("placement:pre", module="llm_build_plugins.model.placement_module:Pre")
class pre(Config):
    """Each branch reads a normed copy of the residual stream: x + branch(norm(x)). One norm a branch.

    Source: Xiong et al. 2020, "On layer normalization in the Transformer architecture", table 1.
    """

    norm: Config = part("norm", inherit="norm")
    dropout: float = number(low=0, below=1, inherit="dropout", doc="of what a branch adds, while training")


@component("placement:post", module="llm_build_plugins.model.placement_module:Post")
class post(Config):
    """The residual stream is normed after each branch: norm(x + branch(x)). One norm a branch.

    Source: Vaswani et al. 2017, "Attention is all you need", section 3.1.
    """

    norm: Config = part("norm", inherit="norm")
    dropout: float = number(low=0, below=1, inherit="dropout", doc="of what a branch adds, while training")
