"""Lion's config."""

from __future__ import annotations

from llm_build import Config, component, many, number


@component("optimizer:lion", module="llm_build_plugins.train.lion_module:Lion")
class lion(Config):
    """The sign of a momentum, with decoupled weight decay; norms and biases do not decay.

    Every weight moves by the whole learning rate, so the source takes a third to a tenth of AdamW's and as many times
    its decay (section 5). Source: Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2.
    """

    lr: float = number(default=1e-4, above=0, doc="peak learning rate, and how far each weight moves")
    betas: tuple[float, ...] = many(
        number(low=0, below=1), least=2, most=2, default=(0.9, 0.99), doc="of the direction, and of what is kept"
    )
    decay: float = number(default=0.03, low=0, doc="weight decay, multiplied with the learning rate")
