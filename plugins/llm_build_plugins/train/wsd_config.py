"""The config of warm-up, stable rate and decay."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Config, Context, Problem, Share, amount, choice, component, share


@component("schedule:wsd", module="llm_build_plugins.train.wsd_module:WarmupStableDecay")
class wsd(Config):
    """A straight line from `start` to the peak in `warmup` steps, the peak, and `floor` reached in the last `decay`.

    With w the share of the decay that is done, `shape = "linear"` goes down by w, "1-sqrt" by √w.
    Source: Hu et al. 2024, "MiniCPM", section 4.2; the shapes are those of Hägele et al. 2024, "Scaling Laws and
    Compute-Optimal Training Beyond Fixed Training Durations", section 3.
    """

    warmup: int | Share = amount(default=Share.percent(1), doc="steps until the peak, or their share of all steps")
    start: Share = share(default=Share.percent(1), doc="share of the peak at the first step")
    decay: int | Share = amount(default=Share.percent(10), doc="steps of the decay, or their share of all steps")
    shape: str = choice("1-sqrt", "linear", default="1-sqrt", doc="how the rate goes down")
    floor: Share = share(default=Share.percent(0), doc="share of the peak at the last step")

    def check_decay(self, context: Context) -> Iterator[Problem]:
        if self.decay in (0, Share.percent(0)):
            yield Problem(
                field="decay",
                message=f"decay must take at least one step; {self.decay} arrived",
                help="write decay = 10%, or schedule = constant to keep the peak",
            )

    def check_fits(self, context: Context) -> Iterator[Problem]:
        warmup, decay, steps = self.warmup, self.decay, context.steps
        if isinstance(warmup, Share) and isinstance(decay, Share):
            fits, run = warmup.fraction + decay.fraction <= 1, "run"
        elif steps is not None:
            counts = [each.of(steps) if isinstance(each, Share) else each for each in (warmup, decay)]
            fits, run = sum(counts) <= steps, f"run of {steps} steps"
        else:
            return
        if not fits:
            yield Problem(
                field="decay",
                message=f"warmup and decay must fit into the {run} together; {warmup} and {decay} arrived",
                help="write decay = 10%",
                related=("warmup",),
            )
