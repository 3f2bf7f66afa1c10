"""The config of linear warm-up and a constant rate."""

from __future__ import annotations

from llm_build import Config, Share, amount, component, share


@component("schedule:constant", module="llm_build_plugins.train.constant_module:Constant")
class constant(Config):
    """A straight line from `start` to the peak in `warmup` steps, then the peak.

    A run that is shorter than its warm-up ends on the way up.
    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2, for the warm-up.
    """

    warmup: int | Share = amount(default=Share.percent(1), doc="steps until the peak, or their share of all steps")
    start: Share = share(default=Share.percent(1), doc="share of the peak at the first step")
