"""What the schedules say of a warm-up that outlasts the run."""

from __future__ import annotations

from collections.abc import Iterator

from llm_build import Context, Problem, Share


def late_peak(warmup: int | Share, context: Context) -> Iterator[Problem]:
    """A warning where the run ends before the learning rate has reached its peak."""
    steps = context.steps
    if isinstance(warmup, Share):
        late = warmup.fraction >= 1 or (steps is not None and warmup.of(steps) >= steps)
    else:
        late = steps is not None and warmup >= steps
    if not late:
        return
    run = "run" if steps is None else f"run of {steps:_} steps"
    given = warmup if isinstance(warmup, Share) else f"{warmup:_}"
    yield Problem(
        field="warmup",
        message=f"the peak is reached only where warmup is shorter than the {run}; {given} arrived",
        help="write warmup = 1%",
        severity="warning",
        code="W303",
        related=("steps",),
    )
