"""Adafactor's config."""

from __future__ import annotations

from llm_build import Config, component, number


@component("optimizer:adafactor", module="llm_build_plugins.train.adafactor_module:Adafactor")
class adafactor(Config):
    """Adam's second moment as the product of a row's and a column's, without a first one: next to no memory.

    At step t = 1, 2, … a parameter moves by min(lr, 1/√t) · max(eps2, its own root mean square). `lr` is what the
    schedule left of the peak, so the schedule can only lower the step below 1/√t, and a peak of 0.01 is above 1/√t
    from step 10_000 on. `schedule = none` or `constant` gives the relative step of the source; with `inverse_sqrt` or
    `warmup_cosine` the smaller of the two holds. The factors are those of each matrix of a stack, the root mean
    squares are the whole parameter's. Norms and biases keep the full second moment and do not decay.

    Source: Shazeer and Stern 2018, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", algorithms 4 and
    5, in torch's form: `eps1` bounds the root of the second moment from below instead of being added to the square.
    """

    lr: float = number(default=0.01, above=0, doc="largest relative step")
    beta2_decay: float = number(
        default=-0.8, low=-1, below=0, doc="the second moment of step t keeps 1 - t ** beta2_decay of the last"
    )
    # torch squares it, and below 1e-19 a float32 would lose digits of the square
    eps1: float = number(default=1e-15, low=1e-18, doc="lower bound of the root of the second moment")
    eps2: float = number(default=1e-3, above=0, doc="lower bound of the scale that the step is relative to")
    d: float = number(default=1.0, low=1, doc="largest root mean square of an update before it is scaled")
    decay: float = number(default=0.0, low=0, doc="weight decay, multiplied with the learning rate")
