"""The config of stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, component, flag, number


@component("optimizer:sgd", module="llm_build_plugins.train.sgd_module:SGD")
class sgd(Config):
    """Stochastic gradient descent, with momentum unless it is 0; norms and biases do not decay.

    m ← momentum · m + g + decay · weight, from m = g; weight ← weight - lr · m, where `nesterov` goes on by the next m.
    The decay is part of the gradient, and so of the momentum: an L2 penalty.
    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", section 2, in
    torch's form, where the learning rate stands outside the momentum.
    """

    lr: float = number(default=0.1, above=0, doc="peak learning rate")
    momentum: float = number(default=0.9, low=0, below=1, doc="how much of the last direction is kept")
    nesterov: bool = flag(default=False, doc="look ahead by one step of momentum")
    decay: float = number(default=0.0, low=0, doc="weight decay, added to the gradient")

    def check_nesterov(self, context: Context) -> Iterator[Problem]:
        if self.nesterov and self.momentum == 0:
            yield Problem(
                field="nesterov",
                message="nesterov looks ahead along the momentum, which must be above 0; 0 arrived",
                help="write momentum = 0.9, or nesterov = false",
                related=("momentum",),
            )
