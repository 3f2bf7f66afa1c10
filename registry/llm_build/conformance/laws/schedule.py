"""What holds for every schedule."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import assume
from hypothesis import strategies as st

from llm_build.components import Config, field_specs
from llm_build.components.kinds import AmountKind, SizeKind
from llm_build.conformance.check import check
from llm_build.conformance.compare import require
from llm_build.conformance.drawing import accepted
from llm_build.conformance.trial import Trial
from llm_build.context import Context

SCHEDULE = ("schedule",)
LENGTHS = (40, 7, 200, 3, 1, 2)
LONG, STRETCH = 8_000, 250
REACHED = 0.97
STEEP, TINY = 6.0, 1e-6
"""How much larger than the changes beside it a change is that counts as a jump; smaller ones than `TINY` never do."""


@check("factor", slots=SCHEDULE)
def factor(trial: Trial) -> None:
    """At each step of a run, however short, the factor is a number from 0 to 1.

    A negative one climbs the loss, and one above 1 exceeds the peak that the optimiser was given. Runs of one step and
    of two are tried too: where those raise, something is divided by the steps that are left.
    """
    config, context = trial.config(steps=trial.draw("steps", st.sampled_from(LENGTHS)))
    for steps in sorted({1, 2, context.steps or 1}):
        shorter = context.with_(steps=steps)
        if accepted(config, shorter) is None:
            continue
        for step, found in enumerate(_factors(config, shorter)):
            told = f"the factor of step {step} of {steps} is {found!r}"
            require(isinstance(found, int | float) and math.isfinite(found), f"{told}, which is no number")
            require(0 <= found <= 1 + 1e-9, f"{told}; it must lie between 0 and 1")


@check("repeatable", slots=SCHEDULE)
def repeatable(trial: Trial) -> None:
    """The factor depends on the step and on how many there are, on nothing else.

    A run that goes on from a checkpoint asks a new schedule, from the middle on. Where it fails, the schedule counts
    its own calls, or keeps the last value.
    """
    config, context = trial.config(steps=trial.draw("steps", st.sampled_from(LENGTHS)))
    steps = context.steps or 1
    expected = _factors(config, context)
    schedule, begin = config.build(context), trial.whole("begin", 0, steps - 1)
    for step in [*range(begin, steps), *range(begin)]:
        found = schedule.factor(step, steps)
        require(
            found == expected[step], f"step {step} of {steps} gives {found!r} after others, {expected[step]!r} in turn"
        )


@check("jump", slots=SCHEDULE)
def jump(trial: Trial) -> None:
    """From one step to the next the factor changes about as much as right before and after: nothing jumps.

    It looks at a run of 8 000 steps, in which every count of the config is 250 times as large, so that each part of the
    schedule takes many steps. Where it fails at the end of a warm-up, what follows does not begin where that ends. A
    schedule that jumps on purpose, as one with restarts, opts out.
    """
    found, changes = _long(trial)
    for step in range(len(changes)):
        beside = max([*changes[max(0, step - 1) : step], *changes[step + 1 : step + 2]])
        require(
            changes[step] <= STEEP * beside + TINY,
            f"from step {step} to {step + 1} of {LONG} the factor jumps from {found[step]:.6g} to "
            f"{found[step + 1]:.6g}; the steps beside it change it by {beside:.2g}",
        )


@check("peak", slots=SCHEDULE)
def peak(trial: Trial) -> None:
    """In a long run the learning rate reaches its peak: the factor is 1 at some step, or nearly.

    It looks at the same runs as `jump`. Where it fails, the way down begins before the warm-up is over, and the
    optimiser never takes the rate that the spec states.
    """
    found, _ = _long(trial)
    require(max(found) >= REACHED, f"the largest factor of {LONG} steps is {max(found):.6g}; the peak is 1")


def _long(trial: Trial) -> tuple[list[float], list[float]]:
    """The factors of a long run, and by how much each differs from the next."""
    config, context = trial.config(steps=LONG)
    stretched = accepted(_stretched(config), context)
    assume(stretched is not None)
    assert stretched is not None
    found = _factors(stretched, context)
    return found, [abs(after - before) for before, after in pairwise(found)]


def _factors(config: Config, context: Context) -> list[float]:
    steps = context.steps or 1
    schedule = config.build(context)
    return [schedule.factor(step, steps) for step in range(steps)]


def _stretched(config: Config) -> Config:
    """The same with every count of steps made larger, as a config that is to be filled anew."""
    counts = {
        name: getattr(config, name) * STRETCH
        for name, spec in field_specs(config).items()
        if isinstance(spec.kind, AmountKind | SizeKind) and type(getattr(config, name)) is int
    }
    return config.changed(**counts)
