"""The config of linear warm-up and decay with the inverse square root."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, Share, amount, component, share
from llm_build_plugins.train._late import late_peak


@component("schedule:inverse_sqrt", module="llm_build_plugins.train.inverse_sqrt_module:InverseSqrt")
class inverse_sqrt(Config):
    """A straight line from `start` to the peak in `warmup` steps, then √(warmup / step), which has no end.

    Without a warm-up it is 1 / √step. A run that is shorter than its warm-up ends on the way up.
    Source: Vaswani et al. 2017, "Attention is all you need", equation 3, whose warm-up is 4% of the steps and whose
    peak is 1 / √(dim · warmup).
    """

    warmup: int | Share = amount(default=Share.percent(4), doc="steps until the peak, or their share of all steps")
    start: Share = share(default=Share.percent(1), doc="share of the peak at the first step")

    def check_warmup(self, context: Context) -> Iterator[Problem]:
        return late_peak(self.warmup, context)
