"""The config of linear warm-up and decay with the inverse square root."""

from __future__ import annotations

from llm_build import Config, Share, amount, component, share


@component("schedule:inverse_sqrt", module="llm_build_plugins.train.inverse_sqrt_module:InverseSqrt")
class inverse_sqrt(Config):
    """A straight line from `start` to the peak in `warmup` steps, then √(warmup / step), which has no end.

    Without a warm-up it is 1 / √step. A run that is shorter than its warm-up ends on the way up.
    Source: Vaswani et al. 2017, "Attention is all you need", equation 3, whose warm-up is 4% of the steps and whose
    peak is 1 / √(dim · warmup).
    """

    warmup: int | Share = amount(default=Share.percent(4), doc="steps until the peak, or their share of all steps")
    start: Share = share(default=Share.percent(1), doc="share of the peak at the first step")
