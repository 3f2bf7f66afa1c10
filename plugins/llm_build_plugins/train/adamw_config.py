"""AdamW's config."""

from __future__ import annotations

from llm_build import Config, component, many, number


@component("optimizer:adamw", module="llm_build_plugins.train.adamw_module:AdamW")
class adamw(Config):
    """Adam with decoupled weight decay; norms and biases do not decay.

    Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.
    """

    lr: float = number(default=3e-4, above=0, doc="peak learning rate")
    betas: tuple[float, ...] = many(
        number(low=0, below=1), least=2, most=2, default=(0.9, 0.999), doc="decay of the two moments"
    )
    eps: float = number(default=1e-8, above=0, doc="added to the root of the second moment")
    decay: float = number(default=0.01, low=0, doc="weight decay, multiplied with the learning rate")
