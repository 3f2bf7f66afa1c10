"""The config of linear warm-up and cosine decay."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, Share, amount, component, share
from llm_build_plugins.train._late import late_peak


@component("schedule:warmup_cosine", module="llm_build_plugins.train.warmup_cosine_module:WarmupCosine")
class warmup_cosine(Config):
    """A straight line from `start` to the peak in `warmup` steps, then half a cosine down to `floor` at the last step.

    A run that is shorter than its warm-up ends on the way up.
    Source: Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts.
    """

    warmup: int | Share = amount(default=Share.percent(1), doc="steps until the peak, or their share of all steps")
    start: Share = share(default=Share.percent(1), doc="share of the peak at the first step")
    floor: Share = share(default=Share.percent(0), doc="share of the peak at the last step")

    def check_warmup(self, context: Context) -> Iterator[Problem]:
        return late_peak(self.warmup, context)
