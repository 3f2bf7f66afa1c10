"""The config of linear warm-up and linear decay."""

from __future__ import annotations

from llm_build import Config, Share, amount, component, share


@component("schedule:linear", module="llm_build_plugins.train.linear_module:Linear")
class linear(Config):
    """A straight line from `start` to the peak in `warmup` steps, then another down to `floor` at the last step.

    A run that is shorter than its warm-up ends on the way up.
    Source: Devlin et al. 2019, "BERT", appendix A.2.
    """

    warmup: int | Share = amount(default=Share.percent(1), doc="steps until the peak, or their share of all steps")
    start: Share = share(default=Share.percent(1), doc="share of the peak at the first step")
    floor: Share = share(default=Share.percent(0), doc="share of the peak at the last step")
