"""Bugs of schedules."""

from __future__ import annotations

from bugs.bug import Bug

WARMUP = "plugins/llm_build_plugins/train/_warmup.py"
CONSTANT = "plugins/llm_build_plugins/train/constant_module.py"
COSINE = "plugins/llm_build_plugins/train/warmup_cosine_module.py"
WSD = "plugins/llm_build_plugins/train/wsd_module.py"
INVERSE = "plugins/llm_build_plugins/train/inverse_sqrt_module.py"
BUGS = [
    Bug(
        name="the way down begins at step 0",
        component="schedule:linear",
        file=WARMUP,
        old="max(0, step - warmup) / max(1, steps - 1 - warmup)",
        new="step / max(1, steps - 1)",
    ),
    Bug(
        name="the cosine begins at step 0",
        component="schedule:warmup_cosine",
        file=COSINE,
        old="(1 + math.cos(math.pi * descent(step, warmup, steps))) / 2",
        new="1.0 if step < warmup else (1 + math.cos(math.pi * step / steps)) / 2",
    ),
    Bug(
        name="the warm-up goes beyond the peak",
        component="schedule:constant",
        file=WARMUP,
        old="if step < warmup else 1.0",
        new="if step < warmup + 2 and warmup else 1.0",
    ),
    Bug(
        name="a run without a way down divides by zero",
        component="schedule:linear",
        file=WARMUP,
        old="max(1, steps - 1 - warmup)",
        new="(steps - 1 - warmup)",
    ),
    Bug(
        name="whole numbers are divided",
        component="schedule:constant",
        file=WARMUP,
        old="(1 - start) * step / warmup if",
        new="(1 - start) * (step // warmup) if",
    ),
    Bug(
        name="its own calls are counted",
        component="schedule:constant",
        file=CONSTANT,
        old="return rise(step, ",
        new='self.calls = getattr(self, "calls", -1) + 1\n        return rise(self.calls, ',
    ),
    Bug(
        name="the cosine goes below zero",
        component="schedule:warmup_cosine",
        file=COSINE,
        old="/ 2\n        return",
        new="- 1\n        return",
    ),
    Bug(
        name="the decay does not begin at the peak",
        component="schedule:wsd",
        file=WSD,
        old="return min(rise(step, count(self.warmup, steps), self.start), fallen)",
        new="return min(rise(step, count(self.warmup, steps), self.start), fallen if way == 0 else fallen / 2)",
    ),
    Bug(
        name="the root is not that of the warm-up",
        component="schedule:inverse_sqrt",
        file=INVERSE,
        old="max(1, warmup) / max(1, step)",
        new="1 / max(1, step - warmup + 9)",
    ),
]
