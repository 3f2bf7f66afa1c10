"""The normal initialiser's config."""

from __future__ import annotations

from llm_build import Config, component, flag, number


@component("initialiser:normal", module="llm_build_plugins.model.normal_module:Normal", capabilities=["residual"])
class normal(Config):
    """Matrices are drawn from normal(0, std), biases are 0, norms as they are made.

    With `residual`, matrices that write into the residual stream are drawn with std / sqrt(2 · layers), so that its
    variance does not grow with depth.
    Source: Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.3.
    """

    std: float = number(default=0.02, above=0, doc="the standard deviation")
    residual: bool = flag(default=True, doc="divide by sqrt(2 · layers) where a branch ends")
