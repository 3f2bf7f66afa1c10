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


@component("placement:parallel", module="llm_build_plugins.model.placement_module:Parallel")
class parallel(Config):
    """All branches read one normed copy of the residual stream: x + Σ branch(norm(x)). One norm for all of them.

    Where the block has a `cross`, it reads the same copy as the attention before it. GPT-NeoX's variant, which has a
    norm a branch, is another.
    Source: Wang and Komatsuzaki 2021, GPT-J-6B; Chowdhery et al. 2022, "PaLM", section 2, "parallel layers".
    """

    norm: Config = part("norm", inherit="norm")
    dropout: float = number(low=0, below=1, inherit="dropout", doc="of what a branch adds, while training")
