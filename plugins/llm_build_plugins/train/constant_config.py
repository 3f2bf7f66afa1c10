"""The config of linear warm-up and a constant rate."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, Share, amount, component, share
from llm_build_plugins.train._late import late_peak


@component("schedule:constant", module="llm_build_plugins.train.constant_module:Constant")
class constant(Config):
    """A straight line from `start` to the peak in `warmup` steps, then the peak.

    A run that is shorter than its warm-up ends on the way up.
    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2, for the warm-up.
    """

    warmup: int | Share = amount(default=Share.percent(1), doc="steps until the peak, or their share of all steps")
    start: Share = share(default=Share.percent(1), doc="share of the peak at the first step")

    def check_warmup(self, context: Context) -> Iterator[Problem]:
        return late_peak(self.warmup, context)
